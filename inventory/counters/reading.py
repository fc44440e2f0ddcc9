"""What the counters say now: counts and the deltas that are not folded yet, in one statement and so of one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import connection

from inventory.counters.statements import STANDING, STATES
from inventory.models import Axis, FleetIds

_STANDING_SUM = " + ".join(STANDING)
_STANDING_STATES = ", ".join(f"'{state}'" for state in STANDING)
_OF_FLEETS = "(%(fleets)s::bigint[] IS NULL OR fleet_id = ANY(%(fleets)s))"
_WITHIN = f"day >= %(start)s AND day < %(end)s AND {_OF_FLEETS}"


def _standing(axis: Axis, only: str = "") -> str:
    """Return a query of standing certificates: fleet_id, group_id, day, number. `only` narrows by these columns."""
    return f"""
        SELECT fleet_id, group_id, day, number FROM (
            SELECT fleet_id, group_id, day, {_STANDING_SUM} AS number FROM inventory_certificatecount
            WHERE axis = '{axis.value}' AND {_WITHIN}
            UNION ALL
            SELECT fleet_id, {axis.value}_id, day, number FROM inventory_certificatedelta
            WHERE state IN ({_STANDING_STATES}) AND {_WITHIN}
        ) standing {only}"""


@dataclass(frozen=True)
class Groups:
    """The largest groups of an axis with what they hold, largest first, and how many groups hold anything."""

    largest: Mapping[int | None, int]
    number: int


def largest_groups(axis: Axis, start: date, end: date, *, most: int, fleets: FleetIds = None) -> Groups:
    """Return which groups hold most of the standing certificates that end in `start <= day < end`. One statement."""
    rows = _fetch(
        f"""
        SELECT group_id, sum(number), count(*) OVER () FROM ({_standing(axis)}) counted
        GROUP BY 1 HAVING sum(number) <> 0 ORDER BY 2 DESC, 1 LIMIT %(most)s""",
        start=start,
        end=end,
        fleets=fleets,
        most=most,
    )
    return Groups({group: int(count) for group, count, _number in rows}, rows[0][2] if rows else 0)


def cells(
    axis: Axis, bounds: Sequence[date], groups: Sequence[int | None], *, fleets: FleetIds = None
) -> dict[tuple[int | None, date], int]:
    """Count standing certificates of `groups` by cell, the days from one of `bounds` to before the next."""
    rows = _fetch(
        f"""
        SELECT group_id, width_bucket(day, %(bounds)s::date[]), sum(number)
        FROM ({_standing(axis, "WHERE group_id = ANY(%(groups)s) OR (%(none)s AND group_id IS NULL)")}) counted
        GROUP BY 1, 2 HAVING sum(number) <> 0""",
        start=bounds[0],
        end=bounds[-1],
        bounds=list(bounds),
        fleets=fleets,
        groups=[group for group in groups if group is not None],
        none=None in groups,
    )
    return {(group, bounds[cell - 1]): int(count) for group, cell, count in rows}


def histogram(axis: Axis, start: date, end: date, *, fleets: FleetIds = None) -> list[tuple[int | None, date, int]]:
    """Return group, day and count of the standing certificates that end in `start <= day < end`. One statement."""
    rows = _fetch(
        f"SELECT group_id, day, sum(number)::bigint FROM ({_standing(axis)}) counted"
        " GROUP BY 1, 2 HAVING sum(number) <> 0",
        start=start,
        end=end,
        fleets=fleets,
    )
    return [(group, day, count) for group, day, count in rows]


def days_of(axis: Axis, groups: Sequence[int | None]) -> list[tuple[date, int]]:
    """Return on which days how many certificates of `groups` end, in whatever state, ascending. One statement."""
    # Certificates without a group, or of some groups. Never both: OR would defeat the index.
    of_group = "{} IS NULL" if None in groups else "{} = ANY(%(groups)s)"
    rows = _fetch(
        f"""
        SELECT day, sum(number)::bigint FROM (
            SELECT day, {" + ".join(STATES)} AS number FROM inventory_certificatecount
            WHERE axis = '{axis.value}' AND {of_group.format("group_id")}
            UNION ALL
            SELECT day, number FROM inventory_certificatedelta WHERE {of_group.format(f"{axis.value}_id")}
        ) counted
        GROUP BY 1 HAVING sum(number) <> 0 ORDER BY 1""",
        groups=list(groups),
    )
    return [(day, count) for day, count in rows]


@dataclass(frozen=True)
class Heap:
    """What ends on one day in one fleet."""

    fleet_id: int
    day: date
    count: int


def last_days(start: date, end: date, *, fleets: FleetIds = None) -> dict[int, date]:
    """Return the last day in `start <= day < end` on which anything of each fleet ends. One statement."""
    rows = _fetch(
        f"SELECT fleet_id, max(day) FROM ({_standing(Axis.FLEET)}) counted WHERE number <> 0 GROUP BY 1",
        start=start,
        end=end,
        fleets=fleets,
    )
    return dict(rows)


def heaps(start: date, end: date, least: Mapping[int, float]) -> list[Heap]:
    """Return the days on which at least `least` certificates of a fleet end, by fleet. One statement."""
    rows = _fetch(
        f"""
        SELECT fleet_id, day, sum(number) FROM ({_standing(Axis.FLEET)}) counted
        JOIN unnest(%(of_fleets)s::bigint[], %(least)s::double precision[]) AS bound (of_fleet, least)
          ON of_fleet = fleet_id
        GROUP BY 1, 2, least HAVING sum(number) >= least""",
        start=start,
        end=end,
        of_fleets=list(least),
        least=[float(bound) for bound in least.values()],
    )
    return [Heap(fleet, day, int(count)) for fleet, day, count in rows]


def around(heaps: Sequence[Heap], *, days: int) -> dict[tuple[int, date], int]:
    """Return what ends within `days` days before and after each heap, itself included. One statement."""
    if not heaps:
        return {}
    rows = _fetch(
        f"""
        SELECT fleet_id, of_day, sum(number)
        FROM unnest(%(of_fleets)s::bigint[], %(days)s::date[]) AS heap (of_fleet, of_day)
        JOIN ({_standing(Axis.FLEET)}) counted
          ON fleet_id = of_fleet AND day BETWEEN of_day - %(reach)s AND of_day + %(reach)s
        GROUP BY 1, 2""",
        start=min(heap.day for heap in heaps) - timedelta(days=days),
        end=max(heap.day for heap in heaps) + timedelta(days=days + 1),
        of_fleets=[heap.fleet_id for heap in heaps],
        days=[heap.day for heap in heaps],
        reach=days,
    )
    return {(fleet, day): int(count) for fleet, day, count in rows}


def groups_of(axis: Axis, heaps: Sequence[Heap]) -> dict[tuple[int, date], dict[int | None, int]]:
    """Return by which groups of an axis each heap is made up. One statement."""
    found: dict[tuple[int, date], dict[int | None, int]] = {}
    if not heaps:
        return found
    # The bounds let the index find the days; the join leaves those of other fleets out.
    rows = _fetch(
        f"""
        SELECT fleet_id, day, group_id, sum(number)
        FROM ({_standing(axis, "WHERE day = ANY(%(days)s::date[])")}) counted
        WHERE (fleet_id, day) IN (SELECT * FROM unnest(%(of_fleets)s::bigint[], %(days)s::date[]))
        GROUP BY 1, 2, 3""",
        start=min(heap.day for heap in heaps),
        end=date.max,
        of_fleets=[heap.fleet_id for heap in heaps],
        days=[heap.day for heap in heaps],
    )
    for fleet, day, group, count in rows:
        found.setdefault((fleet, day), {})[group] = int(count)
    return found


@dataclass(frozen=True)
class Day:
    """Certificates that end on one day: those devices stand on, and those superseded before."""

    standing: int
    superseded: int


def by_day(start: date, end: date, *, fleets: FleetIds = None) -> dict[date, Day]:
    """Return what ends on each day of `start <= day < end`. One statement."""
    rows = _fetch(
        f"""
        SELECT day, sum(standing), sum(superseded) FROM (
            SELECT day, {_STANDING_SUM} AS standing, superseded FROM inventory_certificatecount
            WHERE axis = 'fleet' AND {_WITHIN}
            UNION ALL
            SELECT day, CASE WHEN state IN ({_STANDING_STATES}) THEN number ELSE 0 END,
                   CASE WHEN state = 'superseded' THEN number ELSE 0 END
            FROM inventory_certificatedelta WHERE {_WITHIN}
        ) counted
        GROUP BY 1 HAVING (sum(standing), sum(superseded)) <> (0, 0) ORDER BY 1""",
        start=start,
        end=end,
        fleets=fleets,
    )
    return {day: Day(int(standing), int(superseded)) for day, standing, superseded in rows}


@dataclass(frozen=True)
class Devices:
    number: int
    never_seen: int


def devices(*, fleets: FleetIds = None) -> dict[int, Devices]:
    """Return how many devices each fleet has. One statement."""
    rows = _fetch(
        f"""
        SELECT fleet_id, sum(number), sum(never_seen) FROM (
            SELECT fleet_id, number, never_seen FROM inventory_devicecount WHERE {_OF_FLEETS}
            UNION ALL
            SELECT fleet_id, number, never_seen FROM inventory_devicedelta WHERE {_OF_FLEETS}
        ) counted
        GROUP BY 1""",
        fleets=fleets,
    )
    return {fleet: Devices(int(number), int(never_seen)) for fleet, number, never_seen in rows}


def _fetch(statement: str, *, fleets: FleetIds = None, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        # psycopg makes arrays of lists, not of tuples.
        cursor.execute(statement, {"fleets": None if fleets is None else list(fleets), **parameters})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
