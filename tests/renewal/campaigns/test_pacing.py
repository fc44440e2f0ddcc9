"""The bucket that a campaign's messages come out of."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from renewal.campaigns.pacing import room
from tests.factories import NOW

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def test_the_first_tick_has_a_seconds_worth_and_at_least_one_message():
    assert room(6000, 0, None, NOW).messages == 100
    assert room(1, 0, None, NOW).messages == 1


def test_a_pace_below_one_message_a_tick_is_saved_up():
    left, sent = 0.0, []
    for tick in range(1, 25):
        found = room(3, left, NOW + (tick - 1) * 5 * SECOND, NOW + tick * 5 * SECOND)
        sent.append(found.messages)
        left = found.after(found.messages)
    assert sum(sent) == 6
    assert set(sent) == {0, 1}


def test_what_was_not_sent_for_hours_does_not_come_at_once():
    assert room(100, 100, NOW, NOW + timedelta(hours=5)).messages == 100


def test_a_clock_that_went_back_gives_nothing_and_takes_nothing():
    assert room(60, 7, NOW, NOW - MINUTE).saved == 7


@given(st.integers(1, 10_000), st.lists(st.floats(0, 90), min_size=1, max_size=40))
def test_over_any_time_no_more_leaves_than_the_pace_and_a_minutes_worth(pace, gaps):
    now, last, left, sent = NOW, None, 0.0, 0
    for gap in gaps:
        now += gap * SECOND
        found = room(pace, left, last, now)
        sent += found.messages
        left, last = found.after(found.messages), now
    assert sent <= pace * ((now - NOW) / MINUTE) + pace + 1
