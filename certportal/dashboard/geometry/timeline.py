"""The line of time of one device: its moments in their places, those too close for the eye drawn as one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

HEIGHT = 62
AXIS = 34
MARGIN = 12
# Marks nearer than this are one mark.
CLOSE = 12.0
_WORST_FIRST = ("stopped", "late", "attention", "good", "neutral")
_LABEL_WIDTH = 76


@dataclass(frozen=True)
class Mark:
    """Moments at one place: the indices of those given, and the tone of the worst."""

    x: float
    moments: tuple[int, ...]
    tone: str
    ahead: bool


@dataclass(frozen=True)
class Tick:
    x: float
    text: str


@dataclass(frozen=True)
class Timeline:
    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    now_x: float
    width: int


def layout(moments: Sequence[tuple[datetime, str]], now: datetime, width: int) -> Timeline:
    """Place `(time, tone)` pairs on a linear axis that holds them all and now."""
    times = [at for at, _tone in moments]
    first, last = min([*times, now]), max([*times, now])
    length = max(last - first, timedelta(minutes=1))

    def x_of(at: datetime) -> float:
        return round(MARGIN + (width - 2 * MARGIN) * ((at - first) / length), 1)

    marks: list[Mark] = []
    for index in sorted(range(len(moments)), key=lambda i: times[i]):
        at, tone = moments[index]
        x, ahead = x_of(at), at > now
        if marks and x - marks[-1].x < CLOSE and marks[-1].ahead == ahead:
            before = marks.pop()
            tone = min(before.tone, tone, key=_WORST_FIRST.index)
            marks.append(Mark(before.x, (*before.moments, index), tone, ahead))
        else:
            marks.append(Mark(x, (index,), tone, ahead))
    return Timeline(tuple(marks), tuple(_ticks([m.x for m in marks], marks, times)), x_of(now), width)


def _ticks(places: Sequence[float], marks: Sequence[Mark], times: Sequence[datetime]) -> list[Tick]:
    """Write the day of a mark below it where there is room."""
    ticks: list[Tick] = []
    for x, mark in zip(places, marks, strict=True):
        if not ticks or x - ticks[-1].x >= _LABEL_WIDTH:
            ticks.append(Tick(x, f"{times[mark.moments[0]]:%Y-%m-%d}"))
    return ticks
