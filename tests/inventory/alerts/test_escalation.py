"""The arithmetic of escalation: pure, on moments that are passed in."""

from datetime import UTC, datetime, timedelta

import pytest

from inventory.alerts.escalation import EscalationStep, Level, escalation_steps, fires_before, late_before
from tests.factories import DAY, NOW

WEEK = 7 * DAY


def test_a_level_is_raised_after_its_silence_and_told_again_after_its_interval():
    first, last = escalation_steps([Level(1, WEEK, 2 * WEEK), Level(2, DAY, WEEK)], NOW)
    assert first == EscalationStep(1, 2, NOW - 2 * WEEK, NOW - WEEK)
    assert last == EscalationStep(2, None, None, NOW - DAY)


def test_a_gap_in_the_numbers_is_stepped_over_and_order_does_not_matter():
    found = escalation_steps([Level(7, DAY, DAY), Level(2, DAY, DAY)], NOW)
    assert [(step.level, step.next_level) for step in found] == [(2, 7), (7, None)]


def test_no_levels_have_no_rungs():
    assert escalation_steps([], NOW) == []


@pytest.mark.parametrize(
    ("now", "ends", "fires"),
    [
        (datetime(2027, 3, 1, 0, 0, tzinfo=UTC), datetime(2027, 5, 30, 23, 59, tzinfo=UTC), True),
        (datetime(2027, 3, 1, 23, 59, tzinfo=UTC), datetime(2027, 5, 30, 0, 0, tzinfo=UTC), True),
        (datetime(2027, 3, 1, 23, 59, tzinfo=UTC), datetime(2027, 5, 31, 0, 0, tzinfo=UTC), False),
        (datetime(2027, 2, 28, 23, 59, tzinfo=UTC), datetime(2027, 5, 30, 23, 59, tzinfo=UTC), False),
    ],
)
def test_ninety_days_are_counted_between_days_of_utc(now, ends, fires):
    assert (ends < fires_before(90, now)) is fires


def test_another_zone_is_the_same_moment():
    eastern = NOW.astimezone(tz=datetime.now().astimezone().tzinfo)
    assert fires_before(30, eastern) == fires_before(30, NOW)


def test_late_is_what_should_have_fired_on_an_earlier_day():
    assert fires_before(30, NOW) - late_before(30, NOW) == timedelta(days=1)
    assert late_before(30, NOW) == fires_before(30, NOW - DAY)
