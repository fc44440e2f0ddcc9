"""A production run under the current and under proposed lifetime rules: two histograms and their difference."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from inventory.expiry.jitter.expectation import Rules, Run, expected, factor, largest


@dataclass(frozen=True)
class Comparison:
    """How many certificates of the run end on each day. `factor`: by what the largest day falls.

    `clamped`: some would outlive their issuer under the new rules, and end with it.
    """

    before: Mapping[date, float]
    after: Mapping[date, float]
    largest_before: tuple[date, float]
    largest_after: tuple[date, float]
    factor: float
    clamped: bool

    @property
    def first_day(self) -> date:
        return min(*self.before, *self.after)

    @property
    def last_day(self) -> date:
        return max(*self.before, *self.after)


def compare(run: Run, rules: Rules, new_rules: Rules, *, issuer_last_day: date) -> Comparison:
    before = expected(run, rules, issuer_last_day=issuer_last_day)
    after = expected(run, new_rules, issuer_last_day=issuer_last_day)
    return Comparison(
        before, after, largest(before), largest(after), factor(before, after), clamped=issuer_last_day in after
    )
