"""The expected number of certificates that end on each day, exactly: no draw is made.

A certificate made in the second `s` of a day, with jitter `j`, ends `s + validity + j` after that day began. Both are
uniform, in whole seconds, as `inventory.issuing.lifetimes.lifetime` draws them; so the share that ends `k` days later
is a count of pairs, and a production run is the convolution of its days with these shares.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

_DAY = 24 * 3600
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Run:
    """Certificates made from `first_day` on: so many a day, spread over its hours, for so many days."""

    units_a_day: float
    days: int
    first_day: date

    @property
    def units(self) -> float:
        return self.units_a_day * self.days


@dataclass(frozen=True)
class Rules:
    """What a profile says of lifetimes, both in whole seconds."""

    validity: timedelta
    jitter_max: timedelta


def shares(rules: Rules) -> dict[int, Fraction]:
    """Return which share of a day's certificates ends how many days later. The shares add up to one."""
    validity, jitter = int(rules.validity.total_seconds()), int(rules.jitter_max.total_seconds())
    pairs = _pairs(validity + jitter)
    for days, count in _pairs(validity - 1).items():
        pairs[days] -= count
    return {days: Fraction(count, _DAY * (jitter + 1)) for days, count in sorted(pairs.items()) if count}


def _pairs(last: int) -> dict[int, int]:
    """Count the pairs of a second of the day and a delay of 0 to `last` seconds, by the day on which they end."""
    whole, rest = divmod(last + 1, _DAY)
    pairs: dict[int, int] = {}
    for day in range(whole):
        # Of the seconds of the day, those before `_DAY - delay` end on day `day`, the others on the next.
        pairs[day] = pairs.get(day, 0) + _DAY * (_DAY + 1) // 2
        pairs[day + 1] = _DAY * (_DAY - 1) // 2
    later = rest * (rest - 1) // 2
    pairs[whole] = pairs.get(whole, 0) + rest * _DAY - later
    pairs[whole + 1] = later
    return pairs


def expected(run: Run, rules: Rules, *, issuer_last_day: date | None = None) -> dict[date, float]:
    """Return how many certificates of `run` are expected to end on each day.

    None outlives its issuer: what would, ends with it, on `issuer_last_day`.
    """
    histogram: dict[date, float] = {}
    for delay, share in shares(rules).items():
        number = float(share) * run.units_a_day
        for index in range(run.days):
            day = run.first_day + (index + delay) * _ONE_DAY
            day = day if issuer_last_day is None else min(day, issuer_last_day)
            histogram[day] = histogram.get(day, 0.0) + number
    return histogram


def largest(histogram: Mapping[date, float]) -> tuple[date, float]:
    """Return the day on which most ends, the first of equals."""
    return min(histogram.items(), key=lambda item: (-item[1], item[0]))


def factor(before: Mapping[date, float], after: Mapping[date, float]) -> float:
    """Return by what the largest day falls from one histogram to the other."""
    return largest(before)[1] / largest(after)[1]


def together(*histograms: Mapping[date, float]) -> dict[date, float]:
    """Return the sum of histograms."""
    total: dict[date, float] = {}
    for histogram in histograms:
        for day, count in histogram.items():
            total[day] = total.get(day, 0.0) + count
    return total
