"""The expiry map: one row a group, one cell a day or a week, a line at today, an outline around the days of cliffs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from certportal.dashboard.geometry.steps import Scale, scale
from inventory.expiry.buckets import Bucket, whole

ROW = 24
GAP = 2
HEAD = 20
FOOT = 20
# Beyond this many days a cell is a week, and beyond the next a month.
MOST_DAYS_BY_DAY = 120
MOST_DAYS_BY_WEEK = 1200
_LABEL_WIDTH = 148
_MOST_LABELS = 4
_MOST_TICK_DAYS = 45
_WEEK_DAYS = 7
# With more weeks than these, every third month is labelled.
_MOST_WEEKS_BY_MONTH = 80
# A label of the axis this near to that of today is left out, as is one that the right edge would cut.
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
    outlined: tuple[int, ...]
    """Where the columns are that hold a cliff: each is outlined from the first row to the last."""


def bucket_of(days: int) -> Bucket:
    """Return what a cell is of a map of so many days."""
    return Bucket.DAY if days <= MOST_DAYS_BY_DAY else Bucket.WEEK if days <= MOST_DAYS_BY_WEEK else Bucket.MONTH


def columns(first: date, days: int, width: int) -> list[Column]:
    """Divide `days` days from `first` into cells that fill about `width`: days, weeks from Monday or months."""
    starts = whole(first, first + timedelta(days=days - 1), bucket_of(days))
    pitch = max(width // (len(starts) - 1), 4)
    return [Column(start, end, pitch * i) for i, (start, end) in enumerate(pairwise(starts))]


def layout(
    counts: Mapping[Key, int],
    rows: Sequence[int | None],
    cells: Sequence[Column],
    *,
    today: date,
    cliffs: Mapping[date, int],
    width: int,
) -> Heatmap:
    """Place one cell where something ends. `counts` are by row and by the first day of a column."""
    pitch = max(width // max(len(cells), 1), 4)
    height_of_rows = len(rows) * ROW
    steps = scale(max(counts.values(), default=0))
    placed = tuple(
        Cell(
            column.x,
            HEAD + index * ROW,
            column,
            row,
            count,
            steps.step(count),
        )
        for index, row in enumerate(rows)
        for column in cells
        if (count := counts.get((row, column.start), 0))
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
        ticks=tuple(
            tick
            for tick in _ticks(cells)
            if abs(tick.x - today_x) >= _TICK_WIDTH and tick.x <= pitch * len(cells) - _TICK_WIDTH
        ),
        cliffs=tuple(_labels(cells, cliffs, pitch)),
        outlined=tuple(column.x for column in cells if any(day in column for day in cliffs)),
    )


def _today_x(cells: Sequence[Column], today: date, pitch: int) -> int:
    """Return where the line stands: at the left edge of today, inside its week when cells are weeks."""
    for column in cells:
        if today in column:
            return column.x + pitch * (today - column.start).days // (column.end - column.start).days
    return 0


def _ticks(cells: Sequence[Column]) -> list[Label]:
    """Label the months; the Mondays where few days are shown, the years where a cell is a month."""
    by_day = bool(cells) and (cells[0].end - cells[0].start).days == 1
    if by_day and len(cells) <= _MOST_TICK_DAYS:
        return [Label(column.x, f"{column.start:%m-%d}") for column in cells if column.start.weekday() == 0]
    if cells and (cells[0].end - cells[0].start).days > _WEEK_DAYS:
        return [Label(column.x, f"{column.start:%Y}") for column in cells if column.start.month == 1]
    step = 1 if by_day or len(cells) <= _MOST_WEEKS_BY_MONTH else 3
    firsts = [column for column in cells if (column.end - timedelta(days=1)).day <= (column.end - column.start).days]
    return [Label(column.x, f"{column.end - timedelta(days=1):%Y-%m}") for column in firsts[::step]]


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
