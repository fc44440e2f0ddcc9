"""The expiry map: which day ends whose certificates."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db.models import Model
from django.db.models.query import QuerySet

from certportal.dashboard import ends
from certportal.dashboard.geometry import heatmap
from certportal.dashboard.scope import Scope
from inventory.admin import links
from inventory.counters import reading
from inventory.expiry import buckets
from inventory.expiry.cliffs import GROUPS, Cliff, cliffs, start_of
from inventory.models import Axis

# More rows than these do not fit above the fold; the largest are shown, and the list by the filter holds all.
MOST_ROWS = 8
# Each cell is a link with a sentence: of long spans there are fewer rows, or the page would grow beyond 200 kB.
MOST_CELLS = 850
_WIDTH = 1250


@dataclass(frozen=True)
class Row:
    id: int | None
    name: str
    total: int
    url: str


@dataclass(frozen=True)
class ExpiryMap:
    rows: list[Row]
    hidden_rows: int
    map: heatmap.Heatmap
    urls: dict[heatmap.Cell, str]
    column_urls: dict[heatmap.Column, str]
    """The list of all that ends in a column, in whatever row: of those in which a row has no cell."""
    cliffs: list[Cliff]

    @property
    def total(self) -> int:
        return sum(row.total for row in self.rows)


def read(scope: Scope, now: datetime, found: list[Cliff] | None = None) -> ExpiryMap:
    """Return the map. At most five queries of counters and names, and those of the cliffs unless they are given."""
    today = now.astimezone(UTC).date()
    columns = heatmap.columns(scope.first_day(now), scope.days, _WIDTH)
    first, end = columns[0].start, columns[-1].end
    names, most = _names(scope), min(MOST_ROWS, MOST_CELLS // len(columns))
    groups = reading.largest_groups(scope.axis, first, end, most=most, fleets=scope.fleets)
    bounds = [*(column.start for column in columns), end]
    counts = reading.cells(scope.axis, bounds, list(groups.largest), fleets=scope.fleets)
    known = _named(scope, names, groups, most)
    inside = [cliff for cliff in (cliffs(now, scope.fleets) if found is None else found) if first <= cliff.day < end]
    laid = heatmap.layout(
        counts,
        list(known),
        columns,
        today=today,
        cliffs=_by_day(inside),
        width=_WIDTH,
    )
    span = links.expiry(start_of(first), start_of(end))
    rows = [
        Row(key, name, groups.largest.get(key, 0), f"{ends.of_row(scope, key)}&{span}") for key, name in known.items()
    ]
    bucket = heatmap.bucket_of(scope.days)
    periods = {column: buckets.name(column.start, bucket) for column in columns}
    urls = {cell: ends.of_cell(scope, cell.row, periods[cell.column]) for cell in laid.cells}
    cells_of = Counter(cell.column for cell in laid.cells)
    of_column = {
        column: ends.of_column(scope, period) for column, period in periods.items() if cells_of[column] < len(rows)
    }
    return ExpiryMap(rows, max(names.count() + (None in groups.largest) - most, 0), laid, urls, of_column, inside)


def _names(scope: Scope) -> "QuerySet[Model]":
    groups: Any = GROUPS[scope.axis]._default_manager
    found: QuerySet[Model] = groups.of_fleets(
        # Rules are shared: those of all fleets are rows for each.
        scope.allowed if scope.axis in (Axis.PROFILE, Axis.AUTHORITY) else scope.fleets
    )
    return found


def _named(scope: Scope, names: "QuerySet[Model]", groups: reading.Groups, most: int) -> dict[int | None, str]:
    """Return the rows with their names: the largest groups first, then, where there is room, some that hold nothing."""
    found = dict(GROUPS[scope.axis]._default_manager.filter(pk__in=[*groups.largest]).values_list("id", "name"))
    rows: dict[int | None, str] = {key: found.get(key, "") for key in groups.largest}
    empty = names.exclude(pk__in=[*found]).order_by("pk").values_list("id", "name")[: most - len(rows)]
    return {**rows, **dict(empty)} if len(rows) < most else rows


def _by_day(cliffs: list[Cliff]) -> dict[date, int]:
    days: dict[date, int] = {}
    for cliff in cliffs:
        days[cliff.day] = days.get(cliff.day, 0) + cliff.count
    return days
