"""Maintenance windows: the hours, on the clocks of a device's site, in which a campaign sends. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime, time
from zoneinfo import ZoneInfo

from renewal.channels.quiet import quiet_until

Window = tuple[time, time]
"""From and to; a "to" before "from" is of the next day."""


def opens_at(window: Window | None, zones: Iterable[str], now: datetime) -> Mapping[str, datetime]:
    """Return when the window opens again in those of `zones` (IANA names) where it is closed at `now`."""
    if window is None:
        return {}
    begins, ends = window
    # Outside the window it is as quiet as in quiet hours from its end to its beginning.
    opens = {zone: quiet_until((ends, begins), ZoneInfo(zone), now) for zone in zones}
    return {zone: moment for zone, moment in opens.items() if moment is not None}
