"""The numbers at the top: each a link to exactly the rows it counts."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from certportal.dashboard.scope import Scope
from inventory.admin import links
from inventory.models import Certificate, Device
from inventory.standing import Standing, with_standing

_OF_CERTIFICATES = (
    (Standing.VALID, gettext_lazy("valid"), "good"),
    (Standing.EXPIRING, gettext_lazy("expiring 90 d"), "attention"),
    (Standing.EXPIRED, gettext_lazy("expired"), "late"),
    (Standing.REVOKED, gettext_lazy("revoked"), "stopped"),
    (Standing.UNCONFIRMED, gettext_lazy("unconfirmed"), "attention"),
)


@dataclass(frozen=True)
class Tile:
    label: str
    count: int
    url: str
    tone: str


def read(scope: Scope, now: datetime) -> list[Tile]:
    """Return the tiles. Seven counts."""
    devices = Device.objects.all()
    certificates = Certificate.objects.of_devices()
    fleet = scope.fleet_id
    if fleet is not None:
        devices, certificates = devices.filter(fleet_id=fleet), certificates.filter(device__fleet_id=fleet)
    of_certificates = [
        Tile(
            str(label),
            with_standing(certificates, standing, now).count(),
            links.certificates(state=standing.value, fleet=fleet),
            tone,
        )
        for standing, label, tone in _OF_CERTIFICATES
    ]
    all_devices = Tile(_("devices"), devices.count(), links.devices(fleet=fleet), "neutral")
    never_seen = Tile(
        _("never seen"), devices.never_seen().count(), links.devices(seen="never", fleet=fleet), "neutral"
    )
    return [all_devices, *of_certificates, never_seen]
