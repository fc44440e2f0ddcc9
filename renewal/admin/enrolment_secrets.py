"""The pages on which one-time enrolment secrets are made: for one device, shown once; for many, one file, sent once."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.debug import sensitive_variables

from inventory.admin import cells
from inventory.admin.audited import actor_of
from inventory.admin.filters import is_key
from inventory.admin.shown_once import ShownOnce
from inventory.models import Device, fleets_of
from renewal import hindrances, secrets
from renewal.models import EnrolmentProtocol, EnrolmentSecret

PERMISSION = "renewal.add_enrolmentsecret"
# What one person hands over, and one file and transaction hold.
MOST = 1000
_SAMPLE = 8
_COLUMNS = ("fleet", "serial", "protocol", "secret", "expires_at", "refused")


_ADDRESSES: Mapping[EnrolmentProtocol, Callable[[str], str]] = {
    EnrolmentProtocol.EST: lambda label: f"{settings.PUBLIC_DEVICE_URL}/.well-known/est/{label}/simpleenroll",
    EnrolmentProtocol.SCEP: lambda label: f"{settings.PUBLIC_STATUS_URL}/scep/{label}",
}


class ProtocolForm(forms.Form):
    protocol = forms.ChoiceField(
        label=gettext_lazy("Protocol"),
        choices=EnrolmentProtocol.choices,
        initial=EnrolmentProtocol.EST,
        help_text=gettext_lazy("A secret is for one protocol."),
    )


class ChosenForm(ProtocolForm):
    """Of many devices: those that the page showed, so that nothing is made for one that came into the list since."""

    devices = forms.CharField(widget=forms.HiddenInput, max_length=20 * (MOST + 1))

    def clean_devices(self) -> list[int]:
        keys = self.cleaned_data["devices"].split(",")
        if len(keys) > MOST or not all(map(is_key, keys)):
            raise forms.ValidationError(_("These are no devices of the list; open it and choose anew."))
        return [int(key) for key in keys]


@sensitive_variables("secret")
def one_view(request: HttpRequest, pk: int, site: AdminSite, now: datetime) -> HttpResponse:
    """Say what a secret for the device does; make it on POST and show it in the answer, this once."""
    _check(request)
    found = Device.objects.of_fleets(fleets_of(request.user)).select_related("fleet__authority", "site", "batch")
    device = found.filter(pk=pk).first()
    if device is None:
        raise Http404
    form = ProtocolForm(request.POST or None)
    hindrance = hindrances.of_devices([device]).get(device.pk)
    secret, protocol = "", EnrolmentProtocol.EST
    if request.method == "POST" and hindrance is None and form.is_valid():
        protocol = EnrolmentProtocol(form.cleaned_data["protocol"])
        secret = secrets.create(device, protocol, now=now, actor=actor_of(request))
    context = {
        **site.each_context(request),
        "title": _("Make a one-time secret"),
        "device": device,
        "hindrance": hindrance,
        "form": form,
        "secret": ShownOnce(secret),
        "by_est": protocol == EnrolmentProtocol.EST,
        "protocol": protocol.label,
        "address": _ADDRESSES[protocol](device.fleet.slug),
        "now": now,
        "ends": now + secrets.LIFETIME,
        "lifetime": cells.span(secrets.LIFETIME),
        "unspent": _unspent([device], now),
    }
    return TemplateResponse(request, "admin/renewal/enrolment_secret.html", context)


def many_view(
    request: HttpRequest, chosen: QuerySet[Any], queue: QuerySet[Any], site: AdminSite, now: datetime
) -> HttpResponse:
    """Say what secrets for the `chosen` devices do; on POST make them and send them as a file, this once.

    `queue` is what the person may choose from; of what was shown before, what has left it since gets no secret.
    """
    _check(request)
    form = ChosenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        keys, protocol = form.cleaned_data["devices"], EnrolmentProtocol(form.cleaned_data["protocol"])
        return _file(request, _loaded(queue.filter(pk__in=keys)), len(keys), protocol, now)
    too_many = len(chosen.order_by("pk").values_list("pk")[: MOST + 1]) > MOST
    devices = [] if too_many else _loaded(chosen)
    hindered = hindrances.of_devices(devices)
    free = [device for device in devices if device.pk not in hindered]
    act = ngettext("Make %(count)s secret", "Make %(count)s secrets", len(free)) % {"count": cells.count(len(free))}
    context = {
        **site.each_context(request),
        "title": _("Make one-time secrets"),
        "form": form,
        "keys": ",".join(str(device.pk) for device in free),
        "act": act,
        "total": len(free),
        "sample": free[:_SAMPLE],
        "hindered": _by_text(hindered),
        "too_many": too_many,
        "most": cells.count(MOST),
        "now": now,
        "lifetime": cells.span(secrets.LIFETIME),
        "unspent": _unspent(free, now),
    }
    return TemplateResponse(request, "admin/renewal/enrolment_secrets.html", context)


def _check(request: HttpRequest) -> None:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied


def _loaded(rows: QuerySet[Any]) -> list[Device]:
    """Return the devices, one more than are taken at most, with what a file and hindrances tell of them. One query."""
    plain = rows.prefetch_related(None).select_related("fleet__authority", "site").order_by("pk")
    return sorted(plain[: MOST + 1], key=lambda device: (device.fleet.slug, device.serial))


def _unspent(devices: Sequence[Device], now: datetime) -> int:
    return EnrolmentSecret.objects.filter(device__in=devices, spent_at=None, expires_at__gt=now).count()


def _by_text(hindered: Mapping[int, hindrances.Hindrance]) -> list[tuple[str, str]]:
    """Return each reason with how many devices it holds back, the most first."""
    counted = Counter(hindrance.text for hindrance in hindered.values())
    return [(cells.count(number), text) for text, number in counted.most_common()]


def _file(
    request: HttpRequest, devices: list[Device], asked: int, protocol: EnrolmentProtocol, now: datetime
) -> HttpResponse:
    hindered = hindrances.of_devices(devices)
    free = [device for device in devices if device.pk not in hindered]
    made = secrets.create_many(free, protocol, now=now, actor=actor_of(request)) if free else {}
    ends = f"{now + secrets.LIFETIME:%Y-%m-%dT%H:%M:%SZ}"
    rows: list[Iterable[str]] = []
    for device in devices:
        of_device = device.fleet.slug, device.serial, protocol.value
        if device.pk in made:
            rows.append((*of_device, made[device.pk], ends, ""))
        else:
            rows.append((*of_device, "", "", hindered[device.pk].text))
    gone = asked - len(devices)
    if gone:
        left = ngettext("%(count)s device left the queue", "%(count)s devices left the queue", gone)
        rows.append(("", "", "", "", "", left % {"count": cells.count(gone)}))
    text = io.StringIO()
    csv.writer(text).writerows([_COLUMNS, *rows])
    name = f"enrolment-secrets-{now:%Y%m%dT%H%M%SZ}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)
