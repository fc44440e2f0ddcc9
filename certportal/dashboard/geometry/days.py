"""Two heaps a day, one upon the other: what ends anyway, and what a plan adds. Charts of one scale compare."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

FOOT = 18
# A part too small to be seen is drawn this high.
LEAST = 1.0
_TICK_WIDTH = 72


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    day: date
    part: str
    count: float


@dataclass(frozen=True)
class Tick:
    x: float
    text: str


@dataclass(frozen=True)
class Days:
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    width: int
    height: int
    foot: int


def layout(
    parts: Mapping[str, Mapping[date, float]], *, first: date, last: date, tallest: float, width: int, height: int
) -> Days:
    """Stack the parts of each day from `first` to `last`, from the bottom in their order; `tallest` fills it."""
    number = (last - first).days + 1
    pitch, room = width / number, height - FOOT
    bars: list[Bar] = []
    for index in range(number):
        day, y = first + timedelta(days=index), float(room)
        for part, counts in parts.items():
            count = counts.get(day, 0.0)
            if count <= 0:
                continue
            tall = max(room * count / tallest, LEAST)
            y -= tall
            x, top = round(index * pitch, 2), round(max(y, 0.0), 1)
            bars.append(Bar(x, top, round(max(pitch - 1, 0.5), 2), round(tall, 1), day, part, count))
    every = max(1, int(_TICK_WIDTH / pitch) + 1)
    ticks = [
        Tick(round(index * pitch, 1), f"{first + timedelta(days=index):%Y-%m-%d}")
        for index in range(0, number, every)
        if index * pitch <= width - _TICK_WIDTH
    ]
    return Days(tuple(bars), tuple(ticks), width, height, room)
