"""How likely what a target waits for comes, by how long it has waited, with what is not known of that. Pure.

The model. What a target waits for (its renewal after the first message, its renewal after a person was asked, the first
use of its new certificate) never comes for a share of the targets, and for the others at a rate a day that is constant
within each bin of waiting time. Neither is known, and both are learnt from what was seen:

- The rate of a bin has a Gamma distribution, of what the bins before it say, with the weight of 20 answers at most,
  and of how often it came in so many days in the bin itself. Of the first bin one in three days is expected, as of a
  device that sleeps for 72 h. After a bin that went three times as quick there are two chances, alike: that it goes on
  so, and that those who are still silent are ordinary sleepers; what is seen in the next bin decides. Bins in which
  nobody waited yet go on like the last one, all faster or all slower together.
- The share that it never comes for is drawn from a grid up to the share that is still silent, each as likely as
  Beta(1, 12) says (7 % of meters are unreachable in a window of 90 days; once a person was asked, any share is alike)
  times how well it explains what was seen: when answers stop all at once, the silent ones are rather lost than slow.
  For a given share that is the variational bound of the likelihood, with each silent target's own chance of being lost.

So a good first minute says little of the ones that did not answer, and what nobody has waited for yet is wide open.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from math import exp, lgamma, log, sqrt
from random import Random
from statistics import NormalDist


class Phase(StrEnum):
    """Where a target stands, as far as a forecast is concerned."""

    UNASKED = "unasked"
    ASKED = "asked"
    GIVEN_UP = "given_up"
    ISSUED = "issued"
    ENDED = "ended"
    THROUGH = "through"


class WaitKind(StrEnum):
    """What is waited for: the renewal after a message, after a person was asked, the first use of what was issued."""

    ANSWER = "answer"
    RECOVERY = "recovery"
    FIRST_USE = "first_use"


# Days. The last bin has no end.
EDGES = (0.0, 1 / 288, 1 / 24, 0.25, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 14.0, 21.0, 30.0, 45.0, 60.0, 90.0, 180.0)
BINS = len(EDGES)
_WIDTHS = tuple(later - earlier for earlier, later in zip(EDGES, [*EDGES[1:], EDGES[-1]], strict=True))
_WEIGHT = 2.0
# In answers: how much the bins before say of the next one.
_MOST_CARRIED = 20.0
# How likely a quick bin says that the next one is as quick.
_GOES_ON = 0.5
# Times as quick as expected: that is another kind of device than those that sleep.
_QUICK = 3
_GRID = 60
_NORMAL = NormalDist()


@dataclass(frozen=True)
class _Kind:
    """In how many days it is expected of those it comes for; and Beta(1, `most_do`), the share it never comes for."""

    days: float
    most_do: float


_KINDS = {WaitKind.ANSWER: _Kind(3, 12), WaitKind.RECOVERY: _Kind(30, 1), WaitKind.FIRST_USE: _Kind(3, 12)}


@dataclass(frozen=True)
class Observed:
    """For each bin: how often it came, for how many days targets waited in it, and how many still wait in it.

    `into`: for how many days those have been in it, on the average.
    """

    came: tuple[float, ...] = (0.0,) * BINS
    days: tuple[float, ...] = (0.0,) * BINS
    silent: tuple[int, ...] = (0,) * BINS
    into: tuple[float, ...] = (0.0,) * BINS


def observed(waits: Iterable[tuple[int, int, int, float]]) -> Observed:
    """Return what waits tell, given as (bin of their length, count, how many of them it came for, sum of days)."""
    came, days, silent, into = [0.0] * BINS, [0.0] * BINS, [0] * BINS, [0.0] * BINS
    for number, count, came_for, total in waits:
        came[number] += came_for
        silent[number] += count - came_for
        in_bin = max(total - EDGES[number] * count, 0.0)
        into[number] = in_bin / count
        days[number] += in_bin
        for before in range(number):
            days[before] += _WIDTHS[before] * count
    return Observed(tuple(came), tuple(days), tuple(silent), tuple(into))


Place = tuple[int, float]
"""An age: its bin, and the days since that began."""


def place(age: float) -> Place:
    """Return the place of an age in days; whoever does not wait yet, with an age below zero, is at the beginning."""
    if age <= 0:
        return 0, 0.0
    number = bisect_right(EDGES, age) - 1
    return number, age - EDGES[number]


class Rates:
    """One draw: the share it never comes for, and the rates of all bins for the others."""

    def __init__(self, never: float, rates: Sequence[float]) -> None:
        self._never = never
        self._rates = rates
        self._before = [0.0, *accumulate(rate * width for rate, width in zip(rates, _WIDTHS, strict=True))]

    def silent(self, age: Place) -> float:
        """Return the share of all targets that still wait at an age; it falls with the age, and is never 0."""
        number, days = age
        # The exponent is bounded, so that shares of shares can be computed.
        return self._never + (1 - self._never) * exp(-min(self._before[number] + self._rates[number] * days, 500.0))

    def silent_each(self, ages: Iterable[Place]) -> list[float]:
        """Return `silent` of each age: forecasts ask for a hundred thousand, a call for each would cost more."""
        never, others, before, rates = self._never, 1 - self._never, self._before, self._rates
        return [never + others * exp(-min(before[number] + rates[number] * days, 500.0)) for number, days in ages]


@dataclass(frozen=True)
class _Chance:
    """A Gamma distribution of a rate, `answers` in `days`, and how likely it is the right one of its bin."""

    share: float
    answers: float
    days: float


@dataclass(frozen=True)
class _Bin:
    """What is known of the rate of a bin. `seen`: somebody waited in it for long enough to say something of it."""

    chances: tuple[_Chance, ...]
    seen: bool


@dataclass(frozen=True)
class _Candidate:
    """A share that it never comes for, and what is known of the others' rates then."""

    never: float
    bins: list[_Bin]


class Knowledge:
    """What is known of one kind of wait."""

    def __init__(self, kind: WaitKind, seen: Observed) -> None:
        self._expected = 1 / _KINDS[kind].days
        self._came = seen.came
        still = _still_silent(seen)
        waiting = [each for each, number in zip(still, seen.silent, strict=True) if number]
        # Nobody waits: then nothing but what was expected beforehand limits it.
        self._step = min(waiting, default=1.0) * 0.999 / _GRID
        nevers = [number * self._step for number in range(_GRID + 1)]
        explained = [self._explained(never, seen, still, _KINDS[kind]) for never in nevers]
        best = max(weight for _bins, weight in explained)
        self._candidates = [_Candidate(never, bins) for never, (bins, _weight) in zip(nevers, explained, strict=True)]
        self._weights = list(accumulate(exp(weight - best) for _bins, weight in explained))

    def _explained(self, never: float, seen: Observed, still: Sequence[float], kind: _Kind) -> tuple[list[_Bin], float]:
        """Return what is known of the rates of the others, and the logarithm of how likely all that is."""
        days = list(seen.days)
        weight = (kind.most_do - 1 + sum(seen.came)) * log(1 - never)
        for number, count in enumerate(seen.silent):
            if not count:
                continue
            share = min(never / still[number], 1.0)
            weight += count * ((1 - share) * log(1 - never) + share * log(never or 1.0) + _entropy(share))
            for before in range(number):
                days[before] -= share * count * _WIDTHS[before]
            days[number] -= share * count * seen.into[number]
        bins, likely = self._bins([max(each, 0.0) for each in days])
        return bins, weight + likely

    def _bins(self, days: Sequence[float]) -> tuple[list[_Bin], float]:
        """Return what is known of each bin, and the logarithm of how likely what was seen in all of them is."""
        before = _Chance(1.0, _WEIGHT, _WEIGHT / self._expected)
        bins, likely = [], 0.0
        for came, length in zip(self._came, days, strict=True):
            chances = [before]
            if before.answers > _QUICK * before.days * self._expected:
                sleepers = _Chance(1 - _GOES_ON, _WEIGHT, _WEIGHT / self._expected)
                chances = [_Chance(_GOES_ON, before.answers, before.days), sleepers]
            logs = [log(each.share) + _log_chance(each, came, length) for each in chances]
            best = max(logs)
            total = sum(exp(each - best) for each in logs)
            likely += best + log(total)
            known = tuple(
                _Chance(exp(each - best) / total, chance.answers + came, chance.days + length)
                for each, chance in zip(logs, chances, strict=True)
            )
            bins.append(_Bin(known, came + length * self._expected >= 1))
            likeliest = max(known, key=lambda each: each.share)
            share = min(1.0, _MOST_CARRIED / likeliest.answers)
            before = _Chance(1.0, likeliest.answers * share, likeliest.days * share)
        return bins, likely

    def draw(self, random: Random) -> Rates:
        [chosen] = random.choices(self._candidates, cum_weights=self._weights)
        rates, luck, coin = [], random.random(), random.random()
        for each in chosen.bins:
            chance = each.chances[0] if coin < each.chances[0].share else each.chances[-1]
            if each.seen:
                rates.append(random.gammavariate(chance.answers, 1 / chance.days))
            else:
                rates.append(chance.answers / chance.days * _fortune(chance.answers, luck))
        never = max(chosen.never + (random.random() - 0.5) * self._step, 0.0)
        return Rates(min(never, 1.0), rates)


def _log_chance(chance: _Chance, came: float, days: float) -> float:
    """Return the logarithm of how likely it comes so often in so many days, the rate integrated out."""
    after = chance.answers + came
    return lgamma(after) - lgamma(chance.answers) + chance.answers * log(chance.days) - after * log(chance.days + days)


def _fortune(answers: float, luck: float) -> float:
    """Return the quantile `luck` of a Gamma distribution with the mean 1 and so many answers (Wilson-Hilferty)."""
    spread = 1 / (9 * answers)
    return max(1 - spread + _NORMAL.inv_cdf(min(max(luck, 1e-9), 1 - 1e-9)) * sqrt(spread), 0.01) ** 3


def _still_silent(seen: Observed) -> list[float]:
    """Return what share of all targets still waits when those of each bin do, as it was seen."""
    shares, share = [], 1.0
    for came, days, width, into in zip(seen.came, seen.days, _WIDTHS, seen.into, strict=True):
        rate = came / days if days else 0.0
        shares.append(max(share * exp(-min(rate * into, 50.0)), 1e-9))
        share *= exp(-min(rate * width, 50.0))
    return shares


def _entropy(share: float) -> float:
    return -sum(each * log(each) for each in (share, 1 - share) if each > 0)
