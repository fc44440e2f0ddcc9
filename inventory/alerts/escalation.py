"""When an alert is raised, repeated and escalated. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import zip_longest

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Level:
    """One level of an alert policy, as configured."""

    number: int
    repeat_every: timedelta
    silence: timedelta


@dataclass(frozen=True)
class EscalationStep:
    """What is due for the unacknowledged alerts on one escalation level, at one moment.

    Those that have been on it since `raise_if_since` or earlier move to `next_level`. Of the others, those last
    notified at `repeat_if_told` or earlier are notified again. On the last level `next_level` and `raise_if_since` are
    None.
    """

    level: int
    next_level: int | None
    raise_if_since: datetime | None
    repeat_if_told: datetime


def escalation_steps(levels: Sequence[Level], now: datetime) -> list[EscalationStep]:
    """Return the steps of a policy at `now`, lowest first. Level numbers may have gaps."""
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
