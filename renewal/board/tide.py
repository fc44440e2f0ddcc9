"""The tide chart: how many targets are open over time, and the days on which their certificates end. Pure geometry.

Left of today the open targets by state, as they were; right of it between what line and what line they will stay open.
From the ground rise what ends: on the day at which a bar stands so many of the open certificates end. The highest is
the cliff, and the campaign must be at the bottom before it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from renewal.board.findings import DAY, Findings
from renewal.board.forecast import Forecast
from renewal.models import TargetState
from renewal.models.campaign import OPEN_STATES

# From the ground up: who is left to a person is on the ground.
STACK = (
    TargetState.FAILED,
    TargetState.ESCALATED,
    TargetState.ISSUED,
    TargetState.ACKNOWLEDGED,
    TargetState.TRIGGERED,
    TargetState.PLANNED,
)
_HEAD, _FOOT, _LEFT = 24, 36, 64
# Today is a column of its own, so that its parts can be hit however short the past is.
_TODAY = 12
_LEAST = 2.0
_TICK_WIDTH = 128
_LABEL_WIDTH = 260

_X = Callable[[datetime], float]
_Y = Callable[[float], float]


@dataclass(frozen=True)
class Band:
    """Targets of one state over the past, as the corners of an area."""

    state: TargetState
    points: str


@dataclass(frozen=True)
class Part:
    """Targets of one state now."""

    state: TargetState
    count: int
    y: float
    height: float


@dataclass(frozen=True)
class End:
    """Open targets whose certificates end from `start` to before `end`."""

    start: datetime
    end: datetime
    count: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Mark:
    at: float
    text: str


@dataclass(frozen=True)
class Tide:
    """Positions for `certportal/charts/tide.svg`. `cone` and `line` are empty without a forecast."""

    width: int
    height: int
    left: int
    top: int
    foot: int
    today: float
    today_width: int
    bands: list[Band]
    parts: list[Part]
    ends: list[End]
    cliff: End | None
    # The label of the cliff is written to its left where there is no room to its right.
    label_left: bool
    cone: str
    line: str
    ticks: list[Mark]
    levels: list[Mark]


def layout(
    findings: Findings,
    past: Sequence[tuple[datetime, Mapping[TargetState, int]]],
    forecast: Forecast | None,
    *,
    started_at: datetime | None,
    width: int = 1376,
    height: int = 280,
) -> Tide:
    """Return where everything stands. Of the open targets each is in one of `parts` and in one of `ends`."""
    now, counts = findings.at, findings.by_state()
    ends = _open_ends(findings)
    start = min([started_at or now, now, *(begin for begin, _end, _count in ends)])
    latest = max([now + DAY, *(end for _begin, end, _count in ends)])
    history: list[tuple[datetime, Mapping[TargetState, int]]] = []
    if started_at is not None and started_at < now:
        at_start = dict.fromkeys(TargetState, 0) | {TargetState.PLANNED: findings.total}
        history = [(started_at, at_start), *((at, each) for at, each in past if started_at <= at < now)]
    # A past too short to be seen sets no scale either.
    if history and (width - _LEFT - _TODAY) * ((now - start) / (latest - start)) < _TODAY:
        history = []
    tallest = max([1, *(sum(each[state] for state in STACK) for _at, each in [*history, (now, counts)])])
    foot, room = height - _FOOT, height - _HEAD - _FOOT

    def x(at: datetime) -> float:
        column = _TODAY if at > now else 0
        return round(_LEFT + (width - _LEFT - _TODAY) * ((at - start) / (latest - start)) + column, 1)

    def y(count: float) -> float:
        return round(foot - room * min(count / tallest, 1.0), 1)

    bars = [
        End(
            begin,
            end,
            count,
            x(begin),
            min(y(count), foot - _LEAST),
            round(max(x(end) - x(begin) - 1, _LEAST), 1),
            round(max(foot - y(count), _LEAST), 1),
        )
        for begin, end, count in ends
    ]
    ahead = [each for each in bars if each.end > now]
    cliff = max(ahead, key=lambda each: (each.count, -each.x), default=None)
    points = [each for each in forecast.points if now + timedelta(days=each.days) <= latest] if forecast else []
    at_now = f"{round(x(now) + _TODAY, 1)},{y(sum(counts[state] for state in STACK))}"
    upper = [f"{x(now + timedelta(days=each.days))},{y(each.open.p90)}" for each in points]
    lower = [f"{x(now + timedelta(days=each.days))},{y(each.open.p50)}" for each in points]
    return Tide(
        width,
        height,
        _LEFT,
        _HEAD,
        foot,
        x(now),
        _TODAY,
        _bands([*history, (now, counts)], x, y) if history else [],
        _parts(counts, y, foot),
        bars,
        cliff,
        cliff is not None and cliff.x > width - _LABEL_WIDTH,
        " ".join([at_now, *upper, *reversed(lower)]) if points else "",
        " ".join([at_now, *lower]) if points else "",
        _ticks(start, latest, cliff, x, width),
        [Mark(y(level), f"{level:,}") for level in (tallest, tallest // 2) if level],
    )


def _open_ends(findings: Findings) -> list[tuple[datetime, datetime, int]]:
    counts: dict[int, int] = {}
    for each in findings.standings:
        if each.stretch is not None and each.state in OPEN_STATES:
            counts[each.stretch] = counts.get(each.stretch, 0) + each.count
    first, stretch = findings.first, findings.stretch
    return [(first + number * stretch, first + (number + 1) * stretch, counts[number]) for number in sorted(counts)]


def _bands(history: Sequence[tuple[datetime, Mapping[TargetState, int]]], x: _X, y: _Y) -> list[Band]:
    bands: list[Band] = []
    ground = [0] * len(history)
    for state in STACK:
        top = [below + counts[state] for below, (_at, counts) in zip(ground, history, strict=True)]
        if top != ground:
            over = [f"{x(at)},{y(level)}" for level, (at, _counts) in zip(top, history, strict=True)]
            under = [f"{x(at)},{y(level)}" for level, (at, _counts) in zip(ground, history, strict=True)]
            bands.append(Band(state, " ".join([*over, *reversed(under)])))
        ground = top
    return bands


def _parts(counts: Mapping[TargetState, int], y: _Y, foot: int) -> list[Part]:
    parts: list[Part] = []
    ground, below = float(foot), 0
    for state in STACK:
        if count := counts[state]:
            below += count
            top = min(y(below), ground - _LEAST)
            parts.append(Part(state, count, round(top, 1), round(ground - top, 1)))
            ground = top
    return parts


def _ticks(start: datetime, latest: datetime, cliff: End | None, x: _X, width: int) -> list[Mark]:
    """Return days with their distance to the cliff, as many as there is room for."""
    days = max(-(-(latest - start) // DAY), 1)
    every = max(1, -(-days * _TICK_WIDTH // (width - _LEFT)))
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    marks = []
    for number in range(0, days + 1, every):
        day = midnight + number * DAY
        if day < start or x(day) > width - _TICK_WIDTH:
            continue
        left = f" · {(cliff.start - day) // DAY} d" if cliff and day <= cliff.start else ""
        marks.append(Mark(x(day), f"{day:%Y-%m-%d}{left}"))
    return marks
