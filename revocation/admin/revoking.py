"""The page that revokes one certificate: what it does to whom, why, and a button that names the act."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

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
        choices=[("", gettext_lazy("choose one")), *((reason.value, reason.label) for reason in _REASONS)],
        help_text=gettext_lazy("Stands in the CRL and in OCSP answers, for everyone to read."),
    )
    note = forms.CharField(
        label=gettext_lazy("Note"),
        required=False,
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("Kept in the audit log, for us only."),
    )


def revoke_view(request: HttpRequest, pk: int, site: AdminSite) -> HttpResponse:
    """Show the consequences; revoke on POST, once."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    found = Certificate.objects.of_fleets(fleets_of(request.user)).of_devices()
    certificate = found.select_related("device", "authority", "profile").filter(pk=pk).first()
    if certificate is None:
        raise Http404
    if certificate.state == CertificateState.REVOKED:
        messages.info(request, _("The certificate is revoked already."))
        return HttpResponseRedirect(links.certificate(pk))
    if not certificate.is_revocable(timezone.now()):
        text = _(
            "The certificate has ended: every verifier refuses it already. To keep the device out, set its status."
        )
        messages.info(request, text)
        return HttpResponseRedirect(links.certificate(pk))
    form = RevokeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        reason = RevocationReason(form.cleaned_data["reason"])
        order = orders.Order(reason, actor_of(request), form.cleaned_data["note"])
        _tell(request, orders.revoke(certificate, order, timezone.now()))
        return HttpResponseRedirect(links.certificate(pk))
    context = {
        **site.each_context(request),
        **_consequences(certificate),
        "title": _("Revoke certificate"),
        "certificate": certificate,
        "form": form,
        "now": timezone.now(),
    }
    return TemplateResponse(request, "admin/revocation/revoke.html", context)


def _tell(request: HttpRequest, outcome: orders.Revoked | orders.AlreadyRevoked | orders.CannotRevoke) -> None:
    """Say what became of the order."""
    match outcome:
        case orders.Revoked():
            messages.success(request, _("1 certificate revoked. OCSP says so now, the CRL within a minute."))
        case orders.AlreadyRevoked(at=at):
            messages.info(
                request, _("It was revoked before, on %(at)s; nothing changed.") % {"at": f"{at:%Y-%m-%d %H:%M}"}
            )
        case orders.CannotRevoke(text=text):
            messages.error(request, str(text))


def _consequences(certificate: Certificate) -> dict[str, Any]:
    """Return what the sentences of the page depend on. One query."""
    others = Certificate.objects.valid(timezone.now()).filter(device=certificate.device).exclude(pk=certificate.pk)
    return {"others": others.count(), "live": certificate.state in LIVE_STATES}
