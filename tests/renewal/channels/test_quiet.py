"""Quiet hours: across midnight, and where clocks are put forward and back."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from renewal.channels.quiet import quiet_until

PARIS, KOLKATA = ZoneInfo("Europe/Paris"), ZoneInfo("Asia/Kolkata")
NIGHT = (time(22), time(7))


def utc(day: int, hour: int, minute: int = 0, month: int = 3) -> datetime:
    return datetime(2027, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "zone", "now", "until"),
    [
        (NIGHT, PARIS, utc(1, 20, 59), None),
        (NIGHT, PARIS, utc(1, 21), utc(2, 6)),
        (NIGHT, PARIS, utc(2, 0, 30), utc(2, 6)),
        (NIGHT, PARIS, utc(2, 5, 59), utc(2, 6)),
        (NIGHT, PARIS, utc(2, 6), None),
        (NIGHT, KOLKATA, utc(1, 16, 29), None),
        (NIGHT, KOLKATA, utc(1, 16, 30), utc(2, 1, 30)),
        ((time(12), time(14)), PARIS, utc(1, 12), utc(1, 13)),
        ((time(12), time(14)), PARIS, utc(1, 13), None),
        # On 28 March 2027 clocks go from 02:00 to 03:00: the night is an hour shorter.
        (NIGHT, PARIS, utc(27, 21), utc(28, 5)),
        (NIGHT, PARIS, utc(28, 5), None),
        # 02:30 is left out: quiet ends no earlier than it could be meant.
        ((time(22), time(2, 30)), PARIS, utc(28, 1, 29), utc(28, 1, 30)),
        ((time(22), time(2, 30)), PARIS, utc(28, 1, 30), None),
        # On 31 October clocks go from 03:00 to 02:00: the night is an hour longer, and 02:30 comes twice.
        (NIGHT, PARIS, utc(31, 5, 30, 10), utc(31, 6, 0, 10)),
        ((time(22), time(2, 30)), PARIS, utc(31, 0, 45, 10), utc(31, 1, 30, 10)),
        ((time(2, 30), time(7)), PARIS, utc(31, 0, 30, 10), utc(31, 6, 0, 10)),
    ],
)
def test_quiet_hours_are_those_of_the_clocks_of_the_site(hours, zone, now, until):
    assert quiet_until(hours, zone, now) == until
