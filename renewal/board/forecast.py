"""How a campaign goes on from here: how many stay open, and how many miss their date, with what is not known. Pure.

Many courses are drawn. Each has rates of its own (`waits`), drawn from what the targets of this campaign did so far,
and chance on top. A quantile over the courses is what `P50` and `P90` are: in one course of two, in nine of ten, it is
no more than that. What the model takes for granted: devices of one connectivity class answer alike; targets that were
not asked yet are asked in turn, as many a day as on the last day (the campaign's pace while nobody was asked yet); a
renewal may come until the certificate ends and no later; a person's visit is not foreseen, so a work order only ever
makes it better than forecast.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from random import Random

from renewal.board.findings import Findings, Standing
from renewal.board.waits import Knowledge, Phase, Place, Rates, WaitKind, observed, place

COURSES = 200
_MOST_POINTS = 40
_LONGEST_DAYS = 400
# Further turns of asking than this are put into the last of them.
_MOST_TURNS = 12
_NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class Quantiles:
    p50: int
    p90: int


@dataclass(frozen=True)
class Point:
    """What is expected `days` from now. `missed` counts those that have missed their date already, too."""

    days: float
    open: Quantiles
    missed: Quantiles


@dataclass(frozen=True)
class Forecast:
    """`points`, by days, from one that is ahead on; the last is past the end of every open certificate."""

    points: tuple[Point, ...]

    def at(self, days: float) -> Point:
        """Return the point of a horizon that was asked for."""
        return next(point for point in self.points if point.days == days)

    @property
    def missed(self) -> Quantiles:
        return self.points[-1].missed

    def through_in(self) -> tuple[float | None, float | None]:
        """Return in how many days nothing is open in one course of two, and in nine of ten; None: not in this time."""
        p50 = next((point.days for point in self.points if not point.open.p50), None)
        return p50, next((point.days for point in self.points if not point.open.p90), None)


@dataclass(frozen=True)
class _Group:
    """Targets that wait for one thing and have waited alike. `ends`: in how many days certificates end, of how many."""

    kind: WaitKind
    connectivity: str
    age: float
    ends: tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class _Steps:
    """A group on the grid: where on the scale of ages it stands now, on each day, and at each end."""

    group: _Group
    now: Place
    days: tuple[Place, ...]
    ends: tuple[Place, ...]


def forecast(
    findings: Findings, *, asks_a_day: float, horizons: Sequence[float] = (), seed: int = 0, courses: int = COURSES
) -> Forecast:
    """Return how the targets go on. `asks_a_day`: how many that were not asked yet are asked in a day from now on.

    The points hold each of `horizons`, in days.
    """
    groups = _groups(findings.standings, asks_a_day)
    grid = _grid(groups, horizons)
    steps = [_steps(each, grid) for each in groups]
    known = _known(findings)
    lags = _lags(grid)
    # Those have ended without a new certificate: nobody but a person closes them.
    stuck = sum(each.count for each in findings.standings if each.phase is Phase.ENDED)
    issued = _issued(findings.standings)
    drawn_open: list[list[float]] = [[] for _day in grid]
    drawn_missed: list[list[float]] = [[] for _day in grid]
    random = Random(seed)  # noqa: S311 - of courses, not of keys
    for _number in range(courses):
        course = _Course(grid, steps, issued, {key: each.draw(random) for key, each in known.items()}, lags)
        luck, other_luck = random.gauss(0, 1), random.gauss(0, 1)
        for index in range(len(grid)):
            drawn_open[index].append(stuck + course.open_at(index, luck))
            drawn_missed[index].append(findings.missed + course.missed_at(index, other_luck))
    points = zip(grid, map(_quantiles, drawn_open), map(_quantiles, drawn_missed), strict=True)
    return Forecast(tuple(Point(*each) for each in points))


def asking_rate(findings: Findings, *, a_minute: int, running: bool, started_days_ago: float) -> float:
    """Return how many targets are asked for the first time in a day from now on: as many as in the last one."""
    if not running:
        return 0.0
    asked = sum(each.asked_lately for each in findings.standings)
    if asked:
        return min(asked / min(max(started_days_ago, 1e-3), 1.0), a_minute * 1440.0)
    was_anybody = any(each.phase is not Phase.UNASKED and each.count > each.never_asked for each in findings.standings)
    return 0.0 if was_anybody else a_minute * 1440.0


_Waiting = dict[float, int]
_Key = tuple[WaitKind, str, float]


def _groups(standings: Sequence[Standing], asks_a_day: float) -> list[_Group]:
    alike: dict[tuple[WaitKind, str, int], list[Standing]] = defaultdict(list)
    unasked: dict[str, list[Standing]] = defaultdict(list)
    for each in standings:
        if each.phase is Phase.ASKED:
            alike[WaitKind.ANSWER, each.connectivity, each.bin or 0].append(each)
        elif each.phase is Phase.GIVEN_UP:
            alike[WaitKind.RECOVERY, "", each.bin or 0].append(each)
        elif each.phase is Phase.UNASKED:
            unasked[each.connectivity].append(each)
    groups = []
    for (kind, connectivity, _bin), listed in sorted(alike.items()):
        age = sum((each.age or 0.0) * each.count for each in listed) / _number(listed)
        groups.append(_Group(kind, connectivity, age, _ends(listed)))
    total = sum(map(_number, unasked.values()))
    for connectivity, listed in sorted(unasked.items()):
        for age, ends in _turns(_ends(listed), asks_a_day * _number(listed) / total).items():
            groups.append(_Group(WaitKind.ANSWER, connectivity, age, tuple(sorted(ends.items()))))
    return groups


def _ends(standings: Sequence[Standing]) -> tuple[tuple[float, int], ...]:
    ends: _Waiting = defaultdict(int)
    for each in standings:
        ends[max(each.ends_in, 0.0)] += each.count
    return tuple(sorted(ends.items()))


def _number(standings: Sequence[Standing]) -> int:
    return sum(each.count for each in standings)


def _turns(queue: Sequence[tuple[float, int]], a_day: float) -> dict[float, _Waiting]:
    """Return targets that were not asked yet by the age they have now, below zero: in how many days they are asked."""
    turns: dict[float, _Waiting] = defaultdict(lambda: defaultdict(int))
    if a_day * _LONGEST_DAYS < 1:
        return {float(-_LONGEST_DAYS): dict(queue)}
    length = max(sum(count for _ends_in, count in queue) / a_day / _MOST_TURNS, 1.0)
    asked = 0
    for ends_in, count in queue:
        left = count
        while left:
            turn = int(asked / (a_day * length))
            taken = min(left, max(int((turn + 1) * a_day * length) - asked, 1))
            # In the middle of its turn; at once where all are asked within minutes.
            middle = min((turn + 0.5) * length, (asked + taken / 2) / a_day)
            turns[-round(middle, 2)][ends_in] += taken
            asked, left = asked + taken, left - taken
    return turns


def _issued(standings: Sequence[Standing]) -> list[tuple[float, int]]:
    return [(each.age or 0.0, each.count) for each in standings if each.phase is Phase.ISSUED]


def _known(findings: Findings) -> dict[tuple[WaitKind, str], Knowledge]:
    waits: dict[tuple[WaitKind, str], list[tuple[int, int, int, float]]] = defaultdict(list)
    for each in findings.waits:
        waits[each.kind, each.connectivity].append((each.bin, each.count, each.came, each.days))
    classes = {each.connectivity for each in findings.standings if each.connectivity}
    keys = {(WaitKind.RECOVERY, ""), (WaitKind.FIRST_USE, ""), *((WaitKind.ANSWER, each) for each in classes)}
    return {key: Knowledge(key[0], observed(waits.get(key, []))) for key in sorted(keys)}


def _grid(groups: Sequence[_Group], horizons: Sequence[float]) -> list[float]:
    last = max((ends_in for group in groups for ends_in, _count in group.ends), default=0.0)
    # A day past the last end, so that it is seen what missed; and never less than a month.
    longest = min(max(last + 1, 30.0), float(_LONGEST_DAYS))
    step = max(longest / _MOST_POINTS, 1.0)
    points = {round(step * number, 2) for number in range(1, int(longest / step) + 1)}
    return sorted({*points, *horizons, longest})


def _steps(group: _Group, grid: Sequence[float]) -> _Steps:
    days = tuple(place(group.age + days) for days in grid)
    return _Steps(group, place(group.age), days, tuple(place(group.age + ends_in) for ends_in, _count in group.ends))


class _Course:
    """One course: mean and variance of what is left on each day of the grid, given its rates."""

    def __init__(
        self,
        grid: Sequence[float],
        groups: Sequence[_Steps],
        issued: Sequence[tuple[float, int]],
        rates: Mapping[tuple[WaitKind, str], Rates],
        lags: Sequence[Sequence[Place]],
    ) -> None:
        self._left = [0.0] * len(grid)
        self._missed = [0.0] * len(grid)
        self._left_variance = [0.0] * len(grid)
        self._missed_variance = [0.0] * len(grid)
        for each in groups:
            self._add(grid, each, rates[each.group.kind, each.group.connectivity])
        before = float(sum(count for each in groups for _ends_in, count in each.group.ends))
        renewed = [earlier - later for earlier, later in pairwise([before, *self._left])]
        self._unused = _unused(grid, renewed, issued, rates[WaitKind.FIRST_USE, ""], lags)

    def _add(self, grid: Sequence[float], steps: _Steps, rates: Rates) -> None:
        now, ends = rates.silent(steps.now), steps.group.ends
        waiting = sum(count for _ends_in, count in ends)
        gone, missed, missed_variance = 0, 0.0, 0.0
        for index, days in enumerate(grid):
            while gone < len(ends) and ends[gone][0] <= days:
                count = ends[gone][1]
                silent = rates.silent(steps.ends[gone]) / now
                missed += count * silent
                missed_variance += count * silent * (1 - silent)
                waiting -= count
                gone += 1
            silent = rates.silent(steps.days[index]) / now
            self._missed[index] += missed
            self._missed_variance[index] += missed_variance
            self._left[index] += missed + waiting * silent
            self._left_variance[index] += missed_variance + waiting * silent * (1 - silent)

    def open_at(self, index: int, luck: float) -> float:
        # Of those that use their certificate soon, chance is that of a count.
        spread = sqrt(self._left_variance[index] + self._unused[index])
        return max(self._left[index] + self._unused[index] + luck * spread, 0.0)

    def missed_at(self, index: int, luck: float) -> float:
        return max(self._missed[index] + luck * sqrt(self._missed_variance[index]), 0.0)


def _lags(grid: Sequence[float]) -> list[list[Place]]:
    """Return for each step of the grid how long those who began in its middle have waited on its day and each later."""
    starts = [0.0, *grid[:-1]]
    middles = [(start + end) / 2 for start, end in zip(starts, grid, strict=True)]
    return [[place(days - middle) for days in grid[began:]] for began, middle in enumerate(middles)]


def _unused(
    grid: Sequence[float],
    renewed: Sequence[float],
    issued: Sequence[tuple[float, int]],
    rates: Rates,
    lags: Sequence[Sequence[Place]],
) -> list[float]:
    """Return how many have their new certificate and did not use it, on each day of the grid."""
    unused = [0.0] * len(grid)
    for age, count in issued:
        share = count / rates.silent(place(age))
        for index, silent in enumerate(rates.silent_each(place(age + days) for days in grid)):
            unused[index] += share * silent
    for began, number in enumerate(renewed):
        # What is less than a hundredth of a target is nothing.
        if number > _NEGLIGIBLE:
            for index, silent in enumerate(rates.silent_each(lags[began]), start=began):
                unused[index] += number * silent
    return unused


def _quantiles(drawn: list[float]) -> Quantiles:
    """Of whole numbers: at most so many in half of the courses, and in nine of ten."""
    drawn.sort()
    last = len(drawn) - 1
    return Quantiles(round(drawn[last // 2]), round(drawn[round(last * 0.9)]))
