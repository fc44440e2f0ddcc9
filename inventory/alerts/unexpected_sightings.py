"""Unexpected sightings as alerts: one for each kind and reporter, however many certificates were seen."""

from datetime import datetime, timedelta

from django.db.models import Max

from inventory.alerts.conditions import Concern
from inventory.models import AlertKind, UnexpectedSighting
from inventory.models.sighting import Oddity

# What is not seen again for so long is over.
SETTLES_AFTER = timedelta(days=7)


def concerns(now: datetime) -> list[Concern]:
    """Return what was seen alive lately though it should not be. One query."""
    lately = UnexpectedSighting.objects.seen_since(now - SETTLES_AFTER).order_by()
    seen = lately.values_list("oddity", "source").annotate(last=Max("last_seen_at")).order_by("oddity", "source")
    return [
        Concern(AlertKind.UNEXPECTED_SIGHTING, about(Oddity(oddity), source), last + SETTLES_AFTER)
        for oddity, source, last in seen
    ]


def about(oddity: Oddity, source: str) -> str:
    return f"{oddity.value} {source}"


def parts(about: str) -> tuple[Oddity, str]:
    """Return what is wrong and who reported it, of the subject of such an alert."""
    oddity, _space, source = about.partition(" ")
    return Oddity(oddity), source
