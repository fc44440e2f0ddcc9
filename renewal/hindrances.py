"""What stands in the way of enrolling devices anew, told before a secret is made that the gate would refuse.

The gate decides, on the facts of its moment; this says the same of many devices to people, in their words.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _

from inventory.models import Authority, Case, Certificate, CertificateState, Device, DeviceStatus


@dataclass(frozen=True)
class Hindrance:
    """Why a device gets no certificate by a secret now, and what comes first. `case_id`: its open case, if any."""

    text: str
    case_id: int | None = None


def of_devices(devices: Iterable[Device]) -> Mapping[int, Hindrance]:
    """Return the hindrance of each device that has one, by its key. `devices` have their fleets and authorities loaded.

    Three queries, whatever their number.
    """
    listed = list(devices)
    distrusted = set(Authority.objects.revoked_ids())
    revoked = _revoked(listed)
    open_cases = dict(Case.objects.waiting().filter(certificate__in=revoked.values()).values_list("device_id", "pk"))
    found: dict[int, Hindrance] = {}
    for device in listed:
        signer = device.fleet.authority
        if device.status != DeviceStatus.IN_SERVICE:
            text = _("It is %(status)s and gets no certificate: return it to service first.")
            found[device.pk] = Hindrance(text % {"status": device.get_status_display()})
        elif device.pk in open_cases:
            text = _("Its last certificate was revoked, and a case is open: a second person decides on that first.")
            found[device.pk] = Hindrance(text, open_cases[device.pk])
        elif device.pk in revoked:
            text = _("Its last certificate was revoked: it needs a case, on which a second person decides, first.")
            found[device.pk] = Hindrance(text)
        elif signer.pk in distrusted or signer.certificate_id is None:
            text = _(
                "The authority %(authority)s, which signs for its fleet, was revoked, or one above it: give the fleet "
                "another first."
            )
            found[device.pk] = Hindrance(text % {"authority": signer.name})
    return found


def _revoked(devices: list[Device]) -> dict[int, int]:
    """Return, by device, the newest certificate where that was revoked and nobody has cleared the device since."""
    newest = Certificate.objects.filter(device__in=devices).order_by("device_id", "-issued_at", "-pk")
    last = newest.distinct("device_id").values_list("device_id", "pk", "state")
    revoked = {device_id: pk for device_id, pk, state in last if state == CertificateState.REVOKED}
    cleared = set(
        Case.objects.cleared().filter(certificate__in=revoked.values()).values_list("certificate_id", flat=True)
    )
    return {device_id: pk for device_id, pk in revoked.items() if pk not in cleared}
