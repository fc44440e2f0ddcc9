"""Stacked bars: one a week, its parts in a fixed order from the bottom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

GAP = 2
FOOT = 18
# A part too small to be seen is drawn this high, so that it can be found and clicked.
LEAST = 2.0
# The first Monday of a month is its seventh day at the latest.
_FIRST_MONDAY = 7
_WEEK_DAYS = 7
_TICK_WIDTH = 48


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    week: date
    part: str
    count: int


@dataclass(frozen=True)
class Tick:
    x: float
    text: str


@dataclass(frozen=True)
class Bars:
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    width: int
    height: int
    foot: int
    largest: int
    now_x: float


def layout(
    weeks: Sequence[tuple[date, Mapping[str, int]]], parts: Sequence[str], *, today: date, width: int, height: int
) -> Bars:
    """Stack the parts of each week; the counts of the bars add up to those given."""
    totals = [sum(values.get(part, 0) for part in parts) for _week, values in weeks]
    largest = max(totals, default=0)
    pitch = width / max(len(weeks), 1)
    room = height - FOOT
    bars: list[Bar] = []
    for index, (week, values) in enumerate(weeks):
        y = float(room)
        for part in parts:
            count = values.get(part, 0)
            if not count:
                continue
            tall = max(room * count / largest, LEAST)
            y -= tall
            x, top = round(index * pitch, 1), round(max(y, 0.0), 1)
            bars.append(Bar(x, top, round(pitch - GAP, 1), round(tall, 1), week, part, count))
    months = [
        Tick(round(index * pitch, 1), f"{week:%Y-%m}")
        for index, (week, _values) in enumerate(weeks)
        if week.day <= _FIRST_MONDAY and index * pitch <= width - _TICK_WIDTH
    ]
    passed = next((index for index, (week, _v) in enumerate(weeks) if (today - week).days < _WEEK_DAYS), 0)
    return Bars(tuple(bars), tuple(months), width, height, room, largest, round(passed * pitch, 1))
