"""The page that revokes one certificate: what it does to whom, why, and a button that names the act."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from inventory.admin import links
from inventory.admin.audited import actor_of
from inventory.models import Certificate, CertificateState, RevocationReason, fleets_of
from inventory.models.certificate import LIVE_STATES
from revocation import orders

PERMISSION = "inventory.revoke_certificate"
# What a person may say of the certificate of one device; the rest are said of authorities or by the portal itself.
_REASONS = [
    RevocationReason.UNSPECIFIED,
    RevocationReason.KEY_COMPROMISE,
    RevocationReason.AFFILIATION_CHANGED,
    RevocationReason.SUPERSEDED,
    RevocationReason.CESSATION_OF_OPERATION,
    RevocationReason.PRIVILEGE_WITHDRAWN,
]


class RevokeForm(forms.Form):
    reason = forms.ChoiceField(
        label=gettext_lazy("Reason"),
        help_text=gettext_lazy("Stands in the CRL and in OCSP answers, for everyone to read."),
    )
    note = forms.CharField(
        label=gettext_lazy("Note"),
        required=False,
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("Kept in the audit log, for us only."),
    )
    with_renewals = forms.BooleanField(
        label=gettext_lazy("Revoke its unused renewals too"),
        required=False,
        initial=True,
        help_text=gettext_lazy("Whoever held its key may have asked for them."),
    )

    def __init__(self, data: QueryDict | None, *, reasons: Sequence[RevocationReason], unused_renewals: int) -> None:
        super().__init__(data)
        if not unused_renewals:
            del self.fields["with_renewals"]
        first = [("", gettext_lazy("choose one"))] if len(reasons) > 1 else []
        choices = [*first, *((reason.value, reason.label) for reason in reasons)]
        reason = self.fields["reason"]
        assert isinstance(reason, forms.ChoiceField)
        reason.choices = choices


def revoke_view(request: HttpRequest, pk: int, site: AdminSite) -> HttpResponse:
    """Show the consequences; revoke on POST, once."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied(PERMISSION)
    found = Certificate.objects.of_fleets(fleets_of(request.user)).of_devices()
    certificate = found.select_related("device", "authority", "profile").filter(pk=pk).first()
    if certificate is None:
        raise Http404
    raises = certificate.reason_can_be_raised
    if certificate.state == CertificateState.REVOKED and not raises:
        messages.info(request, _("The certificate is revoked already."))
        return HttpResponseRedirect(links.certificate(pk))
    if not raises and not certificate.is_revocable(timezone.now()):
        text = _(
            "The certificate has ended: every verifier refuses it already. To keep the device out, set its status."
        )
        messages.info(request, text)
        return HttpResponseRedirect(links.certificate(pk))
    renewals = Certificate.objects.unconfirmed(timezone.now()).filter(predecessor=certificate)
    unused_renewals = renewals.count()
    reasons = [RevocationReason.KEY_COMPROMISE] if raises else _REASONS
    form = RevokeForm(request.POST or None, reasons=reasons, unused_renewals=unused_renewals)
    if request.method == "POST" and form.is_valid():
        reason = RevocationReason(form.cleaned_data["reason"])
        order = orders.Order(reason, actor_of(request), form.cleaned_data["note"])
        outcome = orders.revoke(certificate, order, timezone.now())
        _tell(request, outcome)
        if isinstance(outcome, orders.Revoked | orders.Raised) and form.cleaned_data.get("with_renewals"):
            # Looked for anew: a renewal that was under way is among them now, and no other can follow.
            _tell_of_renewals(request, orders.revoke_many(renewals.all(), order, timezone.now()).revoked)
        return HttpResponseRedirect(links.certificate(pk))
    context = {
        **site.each_context(request),
        **_consequences(certificate),
        "title": _("Key compromised") if raises else _("Revoke certificate"),
        "raises": raises,
        "certificate": certificate,
        "form": form,
        "unused_renewals": unused_renewals,
        "now": timezone.now(),
    }
    return TemplateResponse(request, "admin/revocation/revoke.html", context)


def _tell(
    request: HttpRequest, outcome: orders.Revoked | orders.Raised | orders.AlreadyRevoked | orders.CannotRevoke
) -> None:
    """Say what became of the order."""
    match outcome:
        case orders.Revoked():
            messages.success(request, _("1 certificate revoked. OCSP says so now, the CRL within a minute."))
        case orders.Raised():
            messages.success(
                request, _("The reason is key compromise now; the date stays. The CRL says so within a minute.")
            )
        case orders.AlreadyRevoked(at=at):
            messages.info(
                request, _("It was revoked before, on %(at)s; nothing changed.") % {"at": f"{at:%Y-%m-%d %H:%M}"}
            )
        case orders.CannotRevoke(text=text):
            messages.error(request, str(text))


def _tell_of_renewals(request: HttpRequest, count: int) -> None:
    text = ngettext("%(count)s unused renewal revoked too.", "%(count)s unused renewals revoked too.", count)
    messages.success(request, text % {"count": count})


def _consequences(certificate: Certificate) -> dict[str, Any]:
    """Return what the sentences of the page depend on. One query."""
    others = Certificate.objects.valid(timezone.now()).filter(device=certificate.device).exclude(pk=certificate.pk)
    return {"others": others.count(), "live": certificate.state in LIVE_STATES}
