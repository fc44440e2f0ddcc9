"""The ladder is arithmetic: no database."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renewal.campaigns.ladder import LONGEST_WAIT, Escalate, Evidence, Rules, Trigger, next_step
from tests.factories import DAY, NOW

RULES = Rules(retry_interval=3 * DAY, max_attempts=5)


def evidence(**changes) -> Evidence:
    return Evidence(**{"attempts_made": 0, "reachable_by_mqtt": True, "certificate_ends": NOW + 90 * DAY, **changes})


def test_a_device_that_was_never_asked_is_triggered_and_given_one_interval():
    assert next_step(evidence(), RULES, NOW) == Trigger(look_again_at=NOW + 3 * DAY)


def test_each_silence_doubles_the_wait_up_to_the_longest():
    waits = [next_step(evidence(attempts_made=made), RULES, NOW).look_again_at - NOW for made in range(4)]
    assert waits == [3 * DAY, 6 * DAY, 12 * DAY, LONGEST_WAIT]


@pytest.mark.parametrize("made", [40, 1000, 32_766])
def test_a_wait_that_doubled_beyond_all_calendars_is_the_longest(made):
    step = next_step(evidence(attempts_made=made), Rules(retry_interval=DAY, max_attempts=32_767), NOW)
    assert step == Trigger(NOW + LONGEST_WAIT)


def test_after_the_last_attempt_a_person_has_to_act():
    assert next_step(evidence(attempts_made=5), RULES, NOW) == Escalate("no answer to 5 attempts")


def test_a_device_without_a_channel_goes_straight_to_a_person():
    assert next_step(evidence(reachable_by_mqtt=False), RULES, NOW) == Escalate("no MQTT id")


def test_an_expired_certificate_cannot_renew_so_no_trigger_is_sent():
    assert next_step(evidence(certificate_ends=NOW), RULES, NOW) == Escalate("certificate expired")


def test_the_next_look_is_not_later_than_the_end_of_the_certificate():
    step = next_step(evidence(attempts_made=3, certificate_ends=NOW + 5 * DAY), RULES, NOW)
    assert step == Trigger(NOW + 5 * DAY)


@given(
    made=st.integers(0, 20),
    ends_in=st.timedeltas(timedelta(days=-400), timedelta(days=400)),
    interval=st.timedeltas(timedelta(seconds=1), timedelta(days=30)),
    most=st.integers(1, 20),
)
def test_a_target_never_takes_more_than_its_attempts_and_always_looks_again_in_the_future(
    made, ends_in, interval, most
):
    now, attempts, ends = NOW, made, NOW + ends_in
    for _ in range(40):
        step = next_step(evidence(attempts_made=attempts, certificate_ends=ends), Rules(interval, most), now)
        if isinstance(step, Escalate):
            break
        assert step.look_again_at > now
        attempts, now = attempts + 1, step.look_again_at
    assert isinstance(step, Escalate)
    assert attempts <= max(most, made)
