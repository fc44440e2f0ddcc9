"""How fast a campaign goes, from what it has done so far."""

from datetime import datetime

from renewal.funnel import Funnel


def rate_a_day(funnel: Funnel, started_at: datetime | None, now: datetime) -> float | None:
    """Return confirmed targets a day since the start; None while there is nothing to measure."""
    if started_at is None or now <= started_at or not funnel.confirmed:
        return None
    return funnel.confirmed / ((now - started_at).total_seconds() / 86_400)


def expected_end(funnel: Funnel, started_at: datetime | None, now: datetime) -> datetime | None:
    """Return when the campaign would be through at its pace so far; None when it has shown none."""
    rate = rate_a_day(funnel, started_at, now)
    if rate is None or started_at is None:
        return None
    return now + (now - started_at) * ((funnel.planned - funnel.confirmed) / funnel.confirmed)
