"""Spreading a cliff: its certificates are renewed over many days, so that their successors expire on many days."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from inventory.expiry.jitter.expectation import Rules, Run, expected, largest, together


@dataclass(frozen=True)
class Advice:
    """Renew `units_a_day` from `first_day` to `last_day`: then the `largest_day` is as it says, others included."""

    first_day: date
    last_day: date
    units_a_day: float
    histogram: Mapping[date, float]
    largest_day: tuple[date, float]
    enough: bool

    @property
    def days(self) -> int:
        return (self.last_day - self.first_day).days + 1


def advise(
    count: int,
    *,
    rules: Rules,
    first_day: date,
    last_day: date,
    most: float,
    existing: Mapping[date, float],
) -> Advice:
    """Spread `count` renewals over as few days from `first_day` as keep every day at `most` or below.

    `existing` ends anyway. When even all days to `last_day` do not suffice, they are advised and `enough` is False:
    then the profile needs more jitter. Raises ValueError when there is no day left.
    """
    longest = (last_day - first_day).days + 1
    if longest < 1:
        raise ValueError(f"The renewal window opens on {first_day} and no day is left before {last_day}.")

    def spread(days: int) -> Advice:
        run = Run(count / days, days, first_day)
        own = expected(run, rules)
        peak = largest(together(own, {day: number for day, number in existing.items() if day in own}))
        end = first_day + timedelta(days=days - 1)
        return Advice(first_day, end, run.units_a_day, own, peak, peak[1] <= most)

    # More days never make the largest day of the cliff's own renewals larger, so halving finds the least that do.
    low, high = 1, longest
    while low < high:
        middle = (low + high) // 2
        if spread(middle).enough:
            high = middle
        else:
            low = middle + 1
    return spread(low)
