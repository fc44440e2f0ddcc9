"""The expiry map: one row a group, one cell a day or a week, a line at today, an outline around cliffs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from certportal.dashboard.geometry.steps import Scale, scale

ROW = 24
GAP = 2
HEAD = 20
FOOT = 20
# Beyond this many days a cell is a week.
MOST_DAYS_BY_DAY = 120
# A cell is outlined when it holds this share of a cliff, so that the outline points at the cause.
OUTLINED_SHARE = 0.2
_LABEL_WIDTH = 148
_MOST_LABELS = 4
_MOST_TICK_DAYS = 45
# A label of the axis this near to that of today is left out.
_TICK_WIDTH = 48

Key = tuple[int | None, date]


@dataclass(frozen=True)
class Column:
    """The days from `start` to before `end`, drawn at `x`."""

    start: date
    end: date
    x: int

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end


@dataclass(frozen=True)
class Cell:
    x: int
    y: int
    column: Column
    row: int | None
    count: int
    step: int
    cliff: bool


@dataclass(frozen=True)
class Label:
    x: int
    text: str


@dataclass(frozen=True)
class CliffLabel:
    x: int
    anchor: str
    day: date
    count: int


@dataclass(frozen=True)
class Heatmap:
    columns: tuple[Column, ...]
    cells: tuple[Cell, ...]
    scale: Scale
    cell_width: int
    cell_height: int
    width: int
    height: int
    today_x: int
    foot: int
    ticks: tuple[Label, ...]
    cliffs: tuple[CliffLabel, ...]


def days_per_cell(days: int) -> int:
    return 1 if days <= MOST_DAYS_BY_DAY else 7


def columns(first: date, days: int, width: int) -> list[Column]:
    """Divide `days` days from `first` into cells that fill about `width`; weeks begin on Mondays."""
    per_cell = days_per_cell(days)
    if per_cell > 1:
        first -= timedelta(days=first.weekday())
    number = -(-days // per_cell)
    pitch = max(width // number, 4)
    return [
        Column(first + timedelta(days=per_cell * i), first + timedelta(days=per_cell * (i + 1)), pitch * i)
        for i in range(number)
    ]


def layout(
    counts: Mapping[Key, int],
    rows: Sequence[int | None],
    cells: Sequence[Column],
    *,
    today: date,
    cliffs: Mapping[date, int],
    width: int,
) -> Heatmap:
    """Place one cell where something ends; the sum of the cells is the sum of `counts` inside rows and columns."""
    pitch = max(width // max(len(cells), 1), 4)
    height_of_rows = len(rows) * ROW
    sums = _sums(counts, rows, cells)
    steps = scale(max(sums.values(), default=0))
    placed = tuple(
        Cell(
            cells[column].x,
            HEAD + row * ROW,
            cells[column],
            rows[row],
            count,
            steps.step(count),
            _is_cliff(rows[row], cells[column], counts, cliffs),
        )
        for (row, column), count in sorted(sums.items())
    )
    today_x = _today_x(cells, today, pitch)
    return Heatmap(
        columns=tuple(cells),
        cells=placed,
        scale=steps,
        cell_width=pitch - GAP,
        cell_height=ROW - GAP * 2,
        width=pitch * len(cells),
        height=HEAD + height_of_rows + FOOT,
        today_x=today_x,
        foot=HEAD + height_of_rows,
        ticks=tuple(tick for tick in _ticks(cells) if abs(tick.x - today_x) >= _TICK_WIDTH),
        cliffs=tuple(_labels(cells, cliffs, pitch)),
    )


def _sums(counts: Mapping[Key, int], rows: Sequence[int | None], cells: Sequence[Column]) -> dict[tuple[int, int], int]:
    """Add up what falls into each cell; cells of nothing are left out, they are gaps."""
    if not cells:
        return {}
    row_of = {row: index for index, row in enumerate(rows)}
    first, per_cell = cells[0].start, (cells[0].end - cells[0].start).days
    sums: dict[tuple[int, int], int] = {}
    for (row, day), count in counts.items():
        column = (day - first).days // per_cell
        if count and row in row_of and 0 <= column < len(cells):
            key = row_of[row], column
            sums[key] = sums.get(key, 0) + count
    return sums


def _is_cliff(row: int | None, column: Column, counts: Mapping[Key, int], cliffs: Mapping[date, int]) -> bool:
    return any(day in column and counts.get((row, day), 0) >= OUTLINED_SHARE * total for day, total in cliffs.items())


def _today_x(cells: Sequence[Column], today: date, pitch: int) -> int:
    """Return where the line stands: at the left edge of today, inside its week when cells are weeks."""
    for column in cells:
        if today in column:
            return column.x + pitch * (today - column.start).days // (column.end - column.start).days
    return 0


def _ticks(cells: Sequence[Column]) -> list[Label]:
    """Label the months; and, where a cell is a day and few are shown, the Mondays instead."""
    by_day = bool(cells) and (cells[0].end - cells[0].start).days == 1
    if by_day and len(cells) <= _MOST_TICK_DAYS:
        return [Label(column.x, f"{column.start:%m-%d}") for column in cells if column.start.weekday() == 0]
    firsts = [column for column in cells if (column.end - timedelta(days=1)).day <= (column.end - column.start).days]
    return [Label(column.x, f"{column.end - timedelta(days=1):%Y-%m}") for column in firsts]


def _labels(cells: Sequence[Column], cliffs: Mapping[date, int], pitch: int) -> list[CliffLabel]:
    """Name the largest cliffs, leaving out those whose label would run into a larger one's."""
    labels: list[CliffLabel] = []
    taken: list[tuple[int, int]] = []
    right = pitch * len(cells)
    for day, count in sorted(cliffs.items(), key=lambda item: (-item[1], item[0])):
        column = next((column for column in cells if day in column), None)
        if column is None or len(labels) == _MOST_LABELS:
            continue
        start, anchor, x = column.x, "start", column.x
        if start + _LABEL_WIDTH > right:
            start, anchor, x = column.x + pitch - _LABEL_WIDTH, "end", column.x + pitch - GAP
        if all(start + _LABEL_WIDTH <= left or start >= end for left, end in taken):
            taken.append((start, start + _LABEL_WIDTH))
            labels.append(CliffLabel(x, anchor, day, count))
    return labels


def rows_by_size(counts: Mapping[Key, int], most: int, known: Collection[int | None]) -> list[int | None]:
    """Return the `most` rows that hold most; those that hold nothing come last."""
    totals: dict[int | None, int] = dict.fromkeys(known, 0)
    for (row, _day), count in counts.items():
        totals[row] = totals.get(row, 0) + count
    return sorted(totals, key=lambda row: (-totals[row], row is None, row or 0))[:most]
