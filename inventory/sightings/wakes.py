"""When a sleeping device wakes next, by when it woke before. Pure.

A wake is a sighting after an hour or more of silence (`models.presence`). Most devices wake in a cycle: once a day at
their hour, or every two or three days. Between two wakes that were seen others may have been missed; a restart begins
the cycle anew at another time; and no wake is exact. So a forecast is made of the gaps between wakes:

- The period is the gap of which the most others are the like. Others may be two or three of it (missed wakes), few
  neither (a restart). Fewer than three gaps of one period each, or more than a third of another kind, and it is none.
- The phase is that of the wakes since the last gap that does not fit: with the newest wake after such a gap, nobody
  knows yet whether the cycle began anew or goes on as before.
- It reaches no further ahead than wakes were seen back: who has been away for longer may have been restarted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median

_MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Gaps of one period each that show it.
_LEAST_ALIKE = 3
_SHARE_ALIKE = 2 / 3
# So many wakes in a row, and one, may have been missed.
_MOST_PERIODS = 3
# How far a gap may be off: a 24th of the period, an hour of a day; and half an hour in any case.
_PART_OFF = 1 / 24
_LEAST_OFF = 30.0
# Clocks and networks are no better than that, and wakes are kept to the minute.
_LEAST_WITHIN = 15.0


@dataclass(frozen=True)
class Expected:
    """The next wake is expected at `at`, not earlier or later than by `within`."""

    at: datetime
    within: timedelta


def expected(wakes: Sequence[int], now: datetime) -> Expected | None:
    """Return the next wake that lies ahead as a whole, None when no cycle is to be seen, or it was too long ago.

    `wakes`: minutes since 1970, as `DevicePresence.wakes` has them, the newest first.
    """
    gaps = [later - earlier for later, earlier in pairwise(wakes)]
    if len(gaps) < _LEAST_ALIKE or min(gaps) <= 0:
        return None
    singles, likest = max((sum(_periods(gap, each) == 1 for gap in gaps), each) for each in gaps)
    if singles < max(_LEAST_ALIKE, _SHARE_ALIKE * len(gaps)) or not _periods(gaps[0], likest):
        return None
    fitting = [(gap, periods) for gap in gaps if (periods := _periods(gap, likest))]
    period = sum(gap for gap, _ in fitting) / sum(periods for _, periods in fitting)
    off = max(abs(gap - periods * period) for gap, periods in fitting)
    phase = _phase(wakes, gaps, period)
    ahead = (now - _EPOCH) / _MINUTE
    if ahead - wakes[0] > wakes[0] - wakes[-1]:
        return None
    cycles = max(math.ceil((ahead - phase) / period), 1)
    # A device that counts its sleep from its last wake strays from its hour, the more the longer it is away.
    within = _within(off, cycles)
    if phase + cycles * period - within < ahead:
        cycles += 1
        within = _within(off, cycles)
    if within >= period / 2:
        return None
    return Expected(_EPOCH + (phase + cycles * period) * _MINUTE, within * _MINUTE)


def _periods(gap: float, period: float) -> int:
    """Return how many periods a gap is, 0 when it is no small number of them."""
    periods = round(gap / period)
    off = max(period * _PART_OFF, _LEAST_OFF)
    return periods if 1 <= periods <= _MOST_PERIODS and abs(gap - periods * period) <= off else 0


def _phase(wakes: Sequence[int], gaps: Sequence[int], period: float) -> float:
    """Return when the newest wake should have been, by itself and those before it up to a gap that does not fit."""
    phases, cycles = [float(wakes[0])], 0
    for wake, gap in zip(wakes[1:], gaps, strict=False):
        periods = _periods(gap, period)
        if not periods:
            break
        cycles += periods
        phases.append(wake + cycles * period)
    return median(phases)


def _within(off: float, cycles: int) -> float:
    return max(_LEAST_WITHIN, off) + off * math.sqrt(cycles)
