"""How fast a campaign goes, from what it has done so far. Pure."""

from datetime import datetime

from renewal.board.funnel import Funnel
from renewal.models import TargetState

_DAY_SECONDS = 86_400


def share_done(funnel: Funnel) -> float:
    """Return the share of targets that are confirmed, from 0 to 1."""
    return funnel.now[TargetState.CONFIRMED] / funnel.total if funnel.total else 0.0


def rate_a_day(funnel: Funnel, started_at: datetime | None, now: datetime) -> float | None:
    """Return confirmed targets a day since the start; None while there is nothing to measure."""
    confirmed = funnel.now[TargetState.CONFIRMED]
    if started_at is None or now <= started_at or not confirmed:
        return None
    return confirmed / ((now - started_at).total_seconds() / _DAY_SECONDS)


def expected_end(funnel: Funnel, started_at: datetime | None, now: datetime) -> datetime | None:
    """Return when the campaign would be through at its pace so far; None when it has shown none."""
    done = share_done(funnel)
    if started_at is None or now <= started_at or not done:
        return None
    return now + (now - started_at) * ((1 - done) / done)
