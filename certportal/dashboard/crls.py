"""Which CRLs verifiers can rely on."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from inventory.admin import links
from revocation.freshness import Freshness


@dataclass(frozen=True)
class Line:
    crl: Freshness
    tone: str
    word: str
    url: str


def lines(crls: list[Freshness], now: datetime) -> list[Line]:
    """Say of each scope how it stands; those that need a look first. No query."""
    found = [_line(crl, now) for crl in crls]
    return sorted(found, key=lambda line: line.tone == "good")


def _line(crl: Freshness, now: datetime) -> Line:
    url = links.changelist("revocation_crl", authority__id__exact=crl.authority_id)
    if crl.next_update is None:
        return Line(crl, "late", _("missing"), url)
    if crl.expired(now):
        return Line(crl, "stopped", _("ended"), url)
    if crl.late(now):
        return Line(crl, "late", _("late"), url)
    return Line(crl, "good", _("fresh"), url)
