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
    count: int
    url: str
    tone: str


def read(scope: Scope, now: datetime, counted: Standings | None = None) -> list[Tile]:
    """Return the tiles. One query of counters, and another unless `counted` is given."""
    fleet = scope.fleet_id
    devices = reading.devices(fleet_id=fleet).values()
    counts = counted or standings(now, fleet_id=fleet)

    def of_certificates(label: str, status: CertificateStatus, count: int, tone: str) -> Tile:
        return Tile(label, count, links.certificates(state=status.value, fleet=fleet), tone)

    never_seen = sum(each.never_seen for each in devices)
    return [
        Tile(_("devices"), sum(each.number for each in devices), links.devices(fleet=fleet), "neutral"),
        of_certificates(_("valid"), CertificateStatus.VALID, counts.valid, "good"),
        of_certificates(_("expiring 90 d"), CertificateStatus.EXPIRING, counts.expiring, "attention"),
        of_certificates(_("expired"), CertificateStatus.EXPIRED, counts.expired, "late"),
        of_certificates(_("revoked"), CertificateStatus.REVOKED, counts.revoked, "stopped"),
        of_certificates(_("unconfirmed"), CertificateStatus.UNCONFIRMED, counts.unconfirmed, "attention"),
        Tile(_("never seen"), never_seen, links.devices(seen="never", fleet=fleet), "neutral"),
    ]
