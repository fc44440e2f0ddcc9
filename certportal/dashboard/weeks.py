"""Expiry by week: what of it is renewed, under way, or planned by nobody."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from certportal.dashboard.geometry import bars
from certportal.dashboard.scope import Scope
from inventory.admin import links
from inventory.expiry.cliffs import start_of
from renewal import coverage_counts
from renewal.coverage import Coverage

_PAST_WEEKS = 4
_WEEKS = 30
_WEEK = timedelta(days=7)
# From the bottom of a bar.
PARTS = (Coverage.RENEWED, Coverage.IN_CAMPAIGN, Coverage.UNPLANNED, Coverage.EXPIRED)


@dataclass(frozen=True)
class Part:
    key: str
    label: str
    total: int
    url: str


@dataclass(frozen=True)
class Cell:
    """A number of the table, and the list of what it counts."""

    count: int
    url: str


@dataclass(frozen=True)
class Weeks:
    weeks: list[tuple[date, dict[str, int]]]
    table: list[tuple[date, list[Cell]]]
    """Of each week a cell for each of `parts`."""
    chart: bars.Bars
    parts: list[Part]
    urls: dict[tuple[date, str], str]


def read(scope: Scope, now: datetime) -> Weeks:
    """Return the bars. Three queries of counters."""
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=today.weekday()) - _PAST_WEEKS * _WEEK
    mondays = [first + index * _WEEK for index in range(_WEEKS)]
    start, end = start_of(first), start_of(first + _WEEKS * _WEEK)
    values: dict[date, dict[str, int]] = {monday: {} for monday in mondays}
    counted = coverage_counts.by_day(first, first + _WEEKS * _WEEK, now, fleets=scope.fleets)
    for day, parts_of_day in counted.items():
        week = values[day - timedelta(days=day.weekday())]
        for part, count in parts_of_day.items():
            week[part.value] = week.get(part.value, 0) + count
    weeks = list(values.items())
    chart = bars.layout(weeks, [part.value for part in PARTS], today=today, width=440, height=200)
    parts = [
        Part(
            part.value,
            str(part.label),
            sum(counts.get(part.value, 0) for counts in values.values()),
            _url(scope, part.value, start, end),
        )
        for part in PARTS
    ]
    urls = {
        (week, part.value): _url(scope, part.value, start_of(week), start_of(week + _WEEK))
        for week in mondays
        for part in PARTS
    }
    table = [
        (week, [Cell(counts.get(part.value, 0), urls[week, part.value]) for part in PARTS]) for week, counts in weeks
    ]
    return Weeks(weeks, table, chart, parts, urls)


def _url(scope: Scope, coverage: str, start: datetime, end: datetime) -> str:
    return links.certificates(coverage=coverage, fleet=scope.fleet_id, expires_from=start, expires_before=end)
