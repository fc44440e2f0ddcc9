"""The expiry map: which day ends whose certificates."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from certportal.dashboard.geometry import heatmap
from certportal.dashboard.scope import Scope
from inventory.admin import links
from inventory.expiry import Axis, Cliff, by_day, cliffs, start_of
from inventory.models import Batch, Certificate, Fleet, Site

# More rows than these do not fit above the fold; the largest are shown, and the list by the filter holds all.
MOST_ROWS = 8
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
    cliffs: list[Cliff]

    @property
    def total(self) -> int:
        return sum(row.total for row in self.rows)


def read(scope: Scope, now: datetime, found: list[Cliff] | None = None) -> ExpiryMap:
    """Return the map. Two queries, and those of the cliffs unless they are given."""
    columns = heatmap.columns(scope.first_day(now), scope.days, _WIDTH)
    start, end = start_of(columns[0].start), start_of(columns[-1].end)
    certificates = Certificate.objects.all()
    if scope.fleet_id is not None:
        certificates = certificates.filter(device__fleet_id=scope.fleet_id)
    counts = by_day(certificates, scope.axis, start, end)
    names = _names(scope)
    keys = heatmap.rows_by_size(counts, len(names) + 1, names)
    shown = [key for key in keys if key in names or any(row == key for row, _day in counts)]
    inside = [
        cliff
        for cliff in (cliffs(now, scope.fleet_id) if found is None else found)
        if start <= start_of(cliff.day) < end
    ]
    days: dict[date, int] = {}
    for cliff in inside:
        days[cliff.day] = days.get(cliff.day, 0) + cliff.count
    laid = heatmap.layout(
        counts,
        shown[:MOST_ROWS],
        columns,
        today=now.astimezone(UTC).date(),
        cliffs=days,
        width=_WIDTH,
    )
    rows = [
        Row(
            key,
            names.get(key, ""),
            sum(cell.count for cell in laid.cells if cell.row == key),
            _url(scope, key, start, end),
        )
        for key in shown[:MOST_ROWS]
    ]
    urls = {cell: _url(scope, cell.row, start_of(cell.column.start), start_of(cell.column.end)) for cell in laid.cells}
    return ExpiryMap(rows, max(len(shown) - MOST_ROWS, 0), laid, urls, inside)


def _names(scope: Scope) -> dict[int | None, str]:
    model = {Axis.SITE: Site, Axis.BATCH: Batch, Axis.FLEET: Fleet}[scope.axis]
    groups = model._default_manager.all()
    if scope.fleet_id is not None:
        groups = groups.filter(**{"pk" if scope.axis == Axis.FLEET else "fleet": scope.fleet_id})
    return dict(groups.values_list("id", "name"))


def _url(scope: Scope, row: int | None, start: datetime, end: datetime) -> str:
    """Return the list of exactly the certificates that a cell counts."""
    question: dict[str, object] = {"fleet": scope.fleet_id, scope.axis.value: "none" if row is None else row}
    return links.certificates(state="standing", expires_from=start, expires_before=end, **question)


def day_url(cliff: Cliff) -> str:
    """Return the list of exactly the certificates of a cliff."""
    start = start_of(cliff.day)
    return links.certificates(
        state="standing", fleet=cliff.fleet_id, expires_from=start, expires_before=start + timedelta(days=1)
    )
