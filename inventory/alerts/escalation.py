"""When an alert fires, fires again and climbs. Pure arithmetic; `now` is passed in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import zip_longest

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Level:
    """One step of a policy as it was set."""

    number: int
    repeat_every: timedelta
    silence: timedelta


@dataclass(frozen=True)
class EscalationStep:
    """What is due, at one moment, of the unacknowledged alerts that stand on one level.

    Those that stand on it since `raise_if_since` or longer go to `next_level`; of the others, those last told at
    `repeat_if_told` or before are told again. On the last level both of the first are None.
    """

    level: int
    next_level: int | None
    raise_if_since: datetime | None
    repeat_if_told: datetime


def escalation_steps(levels: Sequence[Level], now: datetime) -> list[EscalationStep]:
    """Return the steps of a policy at `now`, lowest first. A gap in the numbers is stepped over."""
    ordered = sorted(levels, key=lambda level: level.number)
    above: list[int | None] = [level.number for level in ordered[1:]]
    return [
        EscalationStep(
            level=level.number,
            next_level=next_level,
            raise_if_since=now - level.silence if next_level is not None else None,
            repeat_if_told=now - level.repeat_every,
        )
        for level, next_level in zip_longest(ordered, above)
    ]


def fires_before(threshold_days: int, now: datetime) -> datetime:
    """Return the moment before which a certificate must end for its threshold to be reached at `now`.

    A threshold is reached with the day (of UTC) on which the end is that many days away, not at the minute: what
    ends on one day is one line of one digest, not a message every few minutes.
    """
    midnight = datetime.combine(now.astimezone(UTC).date(), time.min, UTC)
    return midnight + (threshold_days + 1) * _DAY


def late_before(threshold_days: int, now: datetime) -> datetime:
    """Return the moment before which it must end for the threshold to have been reached on an earlier day."""
    return fires_before(threshold_days, now) - _DAY
