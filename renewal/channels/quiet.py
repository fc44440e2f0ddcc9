"""Quiet hours in the time of a place. Pure."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def quiet_until(hours: tuple[time, time], zone: ZoneInfo, now: datetime) -> datetime | None:
    """Return when the quiet hours end that hold at `now`, in UTC; None when none do.

    `hours`: from and to, on the clocks of `zone`; a "to" before "from" is of the next day. Where clocks are put back,
    they begin at the first and end at the last time that the clocks show the hour; an hour that the clocks leave out
    comes as early for the beginning, and as late for the end, as it could be meant: nobody is woken too early.
    """
    begins, ends = hours
    today = now.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        last_day = day if begins < ends else day + timedelta(days=1)
        end = max(_moments(last_day, ends, zone))
        if min(_moments(day, begins, zone)) <= now < end:
            return end
    return None


def _moments(day: date, clock: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return both readings of a time of the clock (PEP 495); they differ where clocks are put back or forward."""
    first = datetime.combine(day, clock, zone)
    return first.astimezone(UTC), first.replace(fold=1).astimezone(UTC)
