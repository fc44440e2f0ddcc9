"""The course of a campaign as a picture: the share of meters not renewed yet, day by day. Pure.

The scale is logarithmic: from all meters to one in ten thousand, with the shares that people ask about between.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 860, 360
_LEFT, _RIGHT, _TOP, _FOOT = 64, 16, 28, 40
_DECADES = 4
_DAYS_APART = 10


@dataclass(frozen=True)
class Mark:
    """A line across the picture, or down it, with its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Picture:
    """Positions for the template `renewal/course.svg`."""

    width: int
    height: int
    left: int
    right: int
    top: int
    foot: int
    title: str
    line: str
    shares: tuple[Mark, ...]
    days: tuple[Mark, ...]
    field_list: Mark | None


def drawn(course: Sequence[Mapping[str, int]], devices: int, field_list_day: float, title: str) -> Picture:
    """Lay out the course: of each day how many targets were in each state. `field_list_day`: when the list opens."""
    days = max(len(course), 1)
    shares = [1.0, *(1 - of_day["confirmed"] / devices for of_day in course)]
    right, foot = _WIDTH - _RIGHT, _HEIGHT - _FOOT

    def x(day: float) -> float:
        return round(_LEFT + (right - _LEFT) * day / days, 1)

    def y(share: float) -> float:
        down = -math.log10(max(share, 10.0**-_DECADES)) / _DECADES
        return round(_TOP + (foot - _TOP) * down, 1)

    lines = [10.0**-decade for decade in range(_DECADES + 1)]
    return Picture(
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=right,
        top=_TOP,
        foot=foot,
        title=title,
        line=" ".join(f"{x(day)},{y(share)}" for day, share in enumerate(shares)),
        shares=tuple(Mark(y(share), f"{share * 100:g} %") for share in lines),
        days=tuple(Mark(x(day), str(day)) for day in range(0, days + 1, _DAYS_APART)),
        field_list=Mark(x(field_list_day), "field list opens") if 0 < field_list_day < days else None,
    )
