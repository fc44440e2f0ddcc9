"""Steps of one hue on a logarithmic scale: a fleet of forty and one of two million both show their shape."""

import math
from bisect import bisect_right
from dataclasses import dataclass

STEPS = 5


@dataclass(frozen=True)
class Scale:
    """The least count of each step, ascending; the first is 1. Step 0 is no mark at all."""

    least: tuple[int, ...]
    largest: int

    def step(self, count: int) -> int:
        """Return 0 for nothing, else 1 to at most `STEPS`."""
        return bisect_right(self.least, count)

    def legend(self) -> list[tuple[int, int, int]]:
        """Return each step with the least and the largest count it holds."""
        if not self.least:
            return []
        ends = [*(bound - 1 for bound in self.least[1:]), self.largest]
        return [(step, low, high) for step, (low, high) in enumerate(zip(self.least, ends, strict=True), start=1)]


def scale(largest: int) -> Scale:
    """Return steps that divide 1 to `largest` evenly on a logarithmic scale; fewer than five when counts are small."""
    if largest < 1:
        return Scale((), 0)
    bounds = {1, *(math.ceil(largest ** (step / STEPS)) for step in range(1, STEPS))}
    return Scale(tuple(sorted(bound for bound in bounds if bound <= largest)), largest)
