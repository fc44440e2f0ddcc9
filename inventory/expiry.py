"""When certificates end: counts by day and group, and the cliffs, days on which too much of a fleet ends at once."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db import models
from django.db.models import Count, F
from django.db.models.functions import TruncDate
from django.utils.translation import gettext_lazy as _

from inventory.models import Batch, Certificate, Device, Fleet, Site
from inventory.models.certificate import CertificateQuerySet

# A day is a cliff when this share of a fleet ends on it and it stands out from the other days by this factor.
CLIFF_SHARE = 0.05
CLIFF_FACTOR = 4.0
# Below this number of certificates a share says nothing.
CLIFF_LEAST = 10
# A batch or site is named as the cause when it holds this share of a cliff.
CAUSE_SHARE = 0.6
HORIZON = timedelta(days=365)


class Axis(models.TextChoices):
    """By what the devices are grouped."""

    SITE = "site", _("site")
    FLEET = "fleet", _("fleet")
    BATCH = "batch", _("batch")

    @property
    def field(self) -> str:
        return f"device__{self.value}_id"


@dataclass(frozen=True)
class Cause:
    """The group that most certificates of a cliff have in common."""

    axis: Axis
    id: int
    name: str
    count: int


@dataclass(frozen=True)
class Cliff:
    fleet_id: int
    fleet_name: str
    day: date
    count: int
    fleet_size: int
    cause: Cause | None

    @property
    def share(self) -> float:
        return self.count / self.fleet_size if self.fleet_size else 1.0


def start_of(day: date) -> datetime:
    """Return midnight UTC at which `day` begins: the day of a certificate's end is a day of UTC."""
    return datetime.combine(day, time.min, UTC)


def by_day(
    certificates: CertificateQuerySet, axis: Axis, start: datetime, end: datetime
) -> dict[tuple[int | None, date], int]:
    """Count standing device certificates by group and day of their end, `start <= not_after < end`: one statement."""
    rows = (
        certificates.of_devices()
        .expiring_between(start, end)
        .order_by()
        .annotate(day=TruncDate("not_after", tzinfo=UTC))
        .values_list(axis.field, "day")
        .annotate(count=Count("id"))
    )
    return {(group, day): count for group, day, count in rows}


def cliff_days(per_day: Mapping[date, int], fleet_size: int, days: int) -> list[date]:
    """Return the days that are cliffs in a histogram of one fleet over a span of `days`, the largest first.

    A fleet whose certificates live for a week loses a seventh of them every day: that is its rhythm, not a cliff, so
    a cliff must stand out from the mean as well.
    """
    mean = sum(per_day.values()) / days if days else 0.0
    least = max(CLIFF_LEAST, CLIFF_SHARE * fleet_size, CLIFF_FACTOR * mean)
    found = [day for day, count in per_day.items() if count >= least]
    return sorted(found, key=lambda day: (-per_day[day], day))


def cliffs(now: datetime, fleet_id: int | None = None, horizon: timedelta = HORIZON) -> list[Cliff]:
    """Return the cliffs from today to the horizon, the largest first. The number of queries is constant."""
    fleets = Fleet.objects.filter(pk=fleet_id) if fleet_id is not None else Fleet.objects.all()
    names = dict(fleets.values_list("id", "name"))
    if not names:
        return []
    start = start_of(now.astimezone(UTC).date())
    certificates = Certificate.objects.filter(device__fleet_id__in=names) if fleet_id else Certificate.objects.all()
    histograms: dict[int, dict[date, int]] = {}
    for (fleet, day), count in by_day(certificates, Axis.FLEET, start, start + horizon).items():
        assert fleet is not None  # every device has a fleet
        histograms.setdefault(fleet, {})[day] = count
    sizes = dict(
        Device.objects.filter(fleet_id__in=histograms).order_by().values_list("fleet_id").annotate(Count("id"))
    )
    found = [
        (fleet, day, histogram[day])
        for fleet, histogram in histograms.items()
        for day in cliff_days(histogram, sizes[fleet], horizon.days)
    ]
    causes = _causes([(fleet, day) for fleet, day, _count in found])
    return sorted(
        (
            Cliff(fleet, names[fleet], day, count, sizes[fleet], causes.get((fleet, day)))
            for fleet, day, count in found
            if fleet in names
        ),
        key=lambda cliff: -cliff.count,
    )


def of_cliff(cliff: Cliff) -> CertificateQuerySet:
    """Return the certificates of a cliff."""
    start = start_of(cliff.day)
    certificates: CertificateQuerySet = Certificate.objects.filter(device__fleet_id=cliff.fleet_id)
    return certificates.of_devices().expiring_between(start, start + timedelta(days=1))


def _causes(places: Iterable[tuple[int, date]]) -> dict[tuple[int, date], Cause]:
    """Name the batch, else the site, that dominates each place: one statement, and two for the names."""
    places = list(places)
    if not places:
        return {}
    condition = models.Q()
    for fleet, day in places:
        start = start_of(day)
        condition |= models.Q(device__fleet_id=fleet, not_after__gte=start, not_after__lt=start + timedelta(days=1))
    rows = (
        Certificate.objects.of_devices()
        .standing()
        .filter(condition)
        .order_by()
        .annotate(day=TruncDate("not_after", tzinfo=UTC), fleet=F("device__fleet_id"))
        .values_list("fleet", "day", Axis.BATCH.field, Axis.SITE.field)
        .annotate(count=Count("id"))
    )
    totals: Counter[tuple[int, date]] = Counter()
    groups: dict[Axis, Counter[tuple[int, date, int | None]]] = {Axis.BATCH: Counter(), Axis.SITE: Counter()}
    for fleet, day, batch, site, count in rows:
        totals[fleet, day] += count
        groups[Axis.BATCH][fleet, day, batch] += count
        groups[Axis.SITE][fleet, day, site] += count
    found: dict[tuple[int, date], tuple[Axis, int, int]] = {}
    for axis in (Axis.SITE, Axis.BATCH):  # a batch, made together, explains more than a site: it is put last and stays
        for (fleet, day, group), count in groups[axis].items():
            if group is not None and count >= CAUSE_SHARE * totals[fleet, day]:
                found[fleet, day] = (axis, group, count)
    names = {
        Axis.BATCH: dict(
            Batch.objects.filter(id__in=[g for a, g, _ in found.values() if a == Axis.BATCH]).values_list("id", "name")
        ),
        Axis.SITE: dict(
            Site.objects.filter(id__in=[g for a, g, _ in found.values() if a == Axis.SITE]).values_list("id", "name")
        ),
    }
    return {place: Cause(axis, group, names[axis][group], count) for place, (axis, group, count) in found.items()}
