"""Expiry cliffs: days on which too large a share of a fleet expires, and what these certificates have in common."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Model

from inventory.counters import reading
from inventory.counters.reading import Heap
from inventory.models import Authority, Axis, Batch, Certificate, Fleet, FleetIds, Profile, Site
from inventory.models.certificate import CertificateQuerySet

# A day is a cliff when this share of a fleet ends on it and it stands out from the days around it by this factor.
CLIFF_SHARE = 0.02
CLIFF_FACTOR = 4.0
# Those up to so many days before and after.
_AROUND = 15
# Below this number of certificates a share says nothing.
CLIFF_LEAST = 10
# A group is named as the cause when it holds this share of a cliff.
CAUSE_SHARE = 0.6
# What was made together explains more than where it stands, and both more than the rules that many share.
_CAUSES: Mapping[Axis, type[Batch] | type[Site] | type[Profile]] = {
    Axis.BATCH: Batch,
    Axis.SITE: Site,
    Axis.PROFILE: Profile,
}
# What the groups of each axis are rows of.
GROUPS: Mapping[Axis, type[Model]] = {**_CAUSES, Axis.FLEET: Fleet, Axis.AUTHORITY: Authority}
# No certificate that anybody has to renew lives longer. What ends beyond is made to last (IEEE 802.1AR 8.7: 9999).
HORIZON = timedelta(days=366 * 20)


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
    # By whose rules the next certificates of the fleet are made.
    profile_id: int

    @property
    def share(self) -> float:
        return self.count / self.fleet_size if self.fleet_size else 1.0


def start_of(day: date) -> datetime:
    """Return midnight UTC at which `day` begins: the day of a certificate's end is a day of UTC."""
    return datetime.combine(day, time.min, UTC)


def end_of(day: date) -> datetime:
    """Return the midnight UTC at which `day` is over, of the last day of all (IEEE 802.1AR 8.7) its last moment."""
    return start_of(day + timedelta(days=1)) if day < date.max else datetime.max.replace(tzinfo=UTC)


def is_cliff(count: int, *, fleet_size: int, around: int, days_around: int) -> bool:
    """Tell whether `count` certificates of a fleet that end on one day are too many.

    `around` of them end on the `days_around` days about it. A fleet whose certificates live for a week loses a seventh
    of them every day, and one that was made in a day and spread over a month a thirtieth: that is a plateau and no
    cliff, so a cliff must stand out from its surroundings too.
    """
    if count < least_of_cliff(fleet_size):
        return False
    return not days_around or count >= CLIFF_FACTOR * around / days_around


def least_of_cliff(fleet_size: int) -> float:
    """Return the least number of certificates on one day that makes a cliff in a fleet of this size."""
    return max(CLIFF_LEAST, CLIFF_SHARE * fleet_size)


def cliffs(now: datetime, of_fleets: FleetIds = None, horizon: timedelta = HORIZON) -> list[Cliff]:
    """Return the cliffs from today to the horizon, the largest first. At most eleven queries, whatever their number."""
    fleets = Fleet.objects.of_fleets(of_fleets).values_list("id", "name", "profile_id")
    found = {pk: (name, profile) for pk, name, profile in fleets}
    if not found:
        return []
    sizes = {fleet: devices.number for fleet, devices in reading.devices(fleets=of_fleets).items()}
    heaps = _cliffs(now.astimezone(UTC).date(), horizon, {fleet: sizes.get(fleet, 0) for fleet in found})
    causes = _causes(heaps)
    return [
        Cliff(
            heap.fleet_id,
            found[heap.fleet_id][0],
            heap.day,
            heap.count,
            sizes.get(heap.fleet_id, 0),
            causes.get((heap.fleet_id, heap.day)),
            found[heap.fleet_id][1],
        )
        for heap in heaps
    ]


def _cliffs(today: date, horizon: timedelta, sizes: Mapping[int, int]) -> list[Heap]:
    """Return the days that are cliffs in fleets of these sizes, the largest first. Three statements."""
    heaps = reading.heaps(today, today + horizon, {fleet: least_of_cliff(size) for fleet, size in sizes.items()})
    around, last_days = reading.around(heaps, days=_AROUND), reading.last_days(today, today + horizon)

    def stands_out(heap: Heap) -> bool:
        # Before today and after the fleet's last day nothing can end: there is nothing to stand out from.
        first = max(heap.day - timedelta(days=_AROUND), today)
        last = min(heap.day + timedelta(days=_AROUND), last_days[heap.fleet_id])
        return is_cliff(
            heap.count,
            fleet_size=sizes[heap.fleet_id],
            around=around[heap.fleet_id, heap.day] - heap.count,
            days_around=(last - first).days,
        )

    return sorted(filter(stands_out, heaps), key=lambda heap: (-heap.count, heap.day))


def standing_by_day(fleet: Fleet, first: date, last: date) -> dict[date, float]:
    """Return how many certificates that devices of `fleet` stand on end on each day. One query of counters."""
    days = reading.by_day(first, last + timedelta(days=1), fleets=[fleet.pk])
    return {day: float(counted.standing) for day, counted in days.items() if counted.standing}


def of_cliff(cliff: Cliff) -> CertificateQuerySet:
    """Return the certificates of a cliff."""
    start = start_of(cliff.day)
    certificates: CertificateQuerySet = Certificate.objects.filter(device__fleet_id=cliff.fleet_id)
    return certificates.of_devices().expiring_between(start, start + timedelta(days=1))


def _causes(heaps: Sequence[Heap]) -> dict[tuple[int, date], Cause]:
    """Name the batch, else the site, else the profile that dominates each heap: a statement an axis, one for names."""
    found: dict[tuple[int, date], Cause] = {}
    for axis, model in _CAUSES.items():
        unnamed = [heap for heap in heaps if (heap.fleet_id, heap.day) not in found]
        if not unnamed:
            break
        groups = reading.groups_of(axis, unnamed)
        dominant = {
            (heap.fleet_id, heap.day): largest
            for heap in unnamed
            if (largest := _dominant(groups.get((heap.fleet_id, heap.day), {}), heap.count))
        }
        names = dict(
            model._default_manager.filter(pk__in={pk for pk, _ in dominant.values()}).values_list("id", "name")
        )
        found |= {place: Cause(axis, pk, names.get(pk, str(pk)), count) for place, (pk, count) in dominant.items()}
    return found


def _dominant(groups: Mapping[int | None, int], total: int) -> tuple[int, int] | None:
    """Return the group that holds `CAUSE_SHARE` of `total`, with what it holds."""
    named: Iterable[tuple[int, int]] = ((group, count) for group, count in groups.items() if group is not None)
    return next(((group, count) for group, count in named if count >= CAUSE_SHARE * total), None)
