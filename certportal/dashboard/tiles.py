"""The numbers at the top: each a link to exactly the rows it counts."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from certportal.dashboard.scope import Scope
from inventory.admin import links
from inventory.counters import reading
from inventory.counters.totals import Standings, standings
from inventory.models.certificate import CertificateStatus


@dataclass(frozen=True)
class Tile:
    label: str
    unit: str
    """What is counted: devices, or certificates."""
    count: int
    url: str
    tone: str


def read(scope: Scope, now: datetime, counted: Standings | None = None) -> list[Tile]:
    """Return the tiles that the person may see. One query of counters, and another unless `counted` is given."""
    fleet = scope.fleet_id
    known = never_seen = None
    if scope.may("inventory.view_device"):
        devices = reading.devices(fleets=scope.fleets).values()
        number = sum(each.number for each in devices)
        known = Tile(_("devices"), _("in all"), number, links.devices(fleet=fleet), "neutral")
        unseen = sum(each.never_seen for each in devices)
        never_seen = Tile(_("never seen"), _("devices"), unseen, links.devices(seen="never", fleet=fleet), "neutral")
    standing = []
    if scope.may("inventory.view_certificate"):
        standing = _standing(fleet, counted or standings(now, fleets=scope.fleets))
    return [tile for tile in (known, *standing, never_seen) if tile is not None]


def _standing(fleet: int | None, counts: Standings) -> list[Tile]:
    def of_certificates(label: str, status: CertificateStatus, count: int, tone: str) -> Tile:
        return Tile(label, _("certificates"), count, links.certificates(state=status.value, fleet=fleet), tone)

    tiles = [
        of_certificates(_("valid"), CertificateStatus.VALID, counts.valid, "good"),
        of_certificates(_("expiring 90 d"), CertificateStatus.EXPIRING, counts.expiring, "attention"),
        of_certificates(_("expired"), CertificateStatus.EXPIRED, counts.expired, "late"),
        of_certificates(_("revoked"), CertificateStatus.REVOKED, counts.revoked, "stopped"),
        of_certificates(_("unconfirmed"), CertificateStatus.UNCONFIRMED, counts.unconfirmed, "attention"),
    ]
    if counts.issuer_revoked:
        found = of_certificates(_("issuer revoked"), CertificateStatus.ISSUER_REVOKED, counts.issuer_revoked, "stopped")
        tiles.insert(4, found)
    return tiles
