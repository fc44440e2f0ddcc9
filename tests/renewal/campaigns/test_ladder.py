"""The ladder by itself: what comes next, and when."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.models import Connectivity
from renewal.campaigns import ladder_text
from renewal.campaigns.ladder import (
    DEFAULT,
    LONGEST_WAIT,
    GiveUp,
    Ladder,
    LadderError,
    Rung,
    Send,
    Situation,
    look_again_at,
    next_step,
    shortest_climb,
)
from renewal.models import Channel, TargetReason
from tests.factories import DAY, NOW

HOUR = timedelta(hours=1)
DAILY = Connectivity.DAILY
BOTH = frozenset({Channel.MQTT, Channel.SMS})
MQTT_THEN_SMS = Ladder(
    {DAILY: (Rung(Channel.MQTT, 10 * HOUR, 2, 10 * HOUR), Rung(Channel.SMS, 20 * HOUR, 1, 18 * HOUR))}
)

spans = st.integers(1, 14 * 24 * 3600).map(lambda seconds: timedelta(seconds=seconds))
rungs = st.builds(Rung, st.sampled_from(Channel), spans, st.integers(1, 50), spans)
ladders = st.builds(
    Ladder, st.dictionaries(st.sampled_from(Connectivity), st.lists(rungs, min_size=1, max_size=8).map(tuple))
)
reachable = st.frozensets(st.sampled_from(Channel))


def climb(ladder: Ladder, connectivity: Connectivity, channels: frozenset[Channel]) -> tuple[list[Send], TargetReason]:
    """Return every message to a device that never answers, and why it ends with a person."""
    rung = attempts = 0
    sent: list[Send] = []
    while True:
        step = next_step(Situation(connectivity, rung, attempts, channels), ladder)
        if isinstance(step, GiveUp):
            return sent, step.reason
        sent.append(step)
        rung, attempts = step.rung, step.attempts


def test_a_silent_device_is_asked_on_each_rung_in_turn_and_then_left_to_a_person():
    sent, reason = climb(MQTT_THEN_SMS, DAILY, BOTH)
    assert [(step.channel, step.attempts, step.next_channel) for step in sent] == [
        (Channel.MQTT, 1, Channel.MQTT),
        (Channel.MQTT, 2, Channel.SMS),
        (Channel.SMS, 1, None),
    ]
    assert reason == TargetReason.NO_ANSWER


def test_a_device_has_answered_over_no_channel_once_a_wait_over_each_that_reaches_it_was_in_vain():
    assert [step.unanswered for step in climb(MQTT_THEN_SMS, DAILY, BOTH)[0]] == [False, False, False]
    twice = Ladder({DAILY: (*MQTT_THEN_SMS.of(DAILY)[:1], Rung(Channel.SMS, 20 * HOUR, 3, 18 * HOUR))})
    # Two SMS of 18 hours cover the wait of 20.
    assert [step.unanswered for step in climb(twice, DAILY, BOTH)[0]] == [False, False, False, False, True]
    mqtt_only = frozenset({Channel.MQTT})
    assert [step.unanswered for step in climb(twice, DAILY, mqtt_only)[0]] == [False, True]


def test_a_rung_over_which_the_device_cannot_be_reached_is_passed_over():
    sent, reason = climb(MQTT_THEN_SMS, DAILY, frozenset({Channel.SMS}))
    assert [step.channel for step in sent] == [Channel.SMS]
    assert reason == TargetReason.NO_ANSWER


@pytest.mark.parametrize(("connectivity", "channels"), [(DAILY, frozenset()), (Connectivity.ALWAYS_ON, BOTH)])
def test_a_device_that_no_rung_reaches_goes_to_a_person_at_once(connectivity, channels):
    assert climb(MQTT_THEN_SMS, connectivity, channels) == ([], TargetReason.NO_CHANNEL)


def test_a_certificate_that_ended_cannot_be_renewed_but_a_new_one_is_still_asked_for():
    ended = Situation(DAILY, 0, 0, BOTH, ended=True)
    assert next_step(ended, MQTT_THEN_SMS) == GiveUp(TargetReason.EXPIRED)
    renewed = Situation(DAILY, 0, 0, BOTH, renewed=True, ended=True)
    assert isinstance(next_step(renewed, MQTT_THEN_SMS), Send)
    silent = Situation(DAILY, 1, 1, BOTH, renewed=True)
    assert next_step(silent, MQTT_THEN_SMS) == GiveUp(TargetReason.UNUSED)


@given(ladders, st.sampled_from(Connectivity), reachable)
def test_every_climb_ends_after_as_many_messages_as_its_usable_rungs_have(ladder, connectivity, channels):
    sent, _reason = climb(ladder, connectivity, channels)
    usable = [rung for rung in ladder.of(connectivity) if rung.channel in channels]
    assert len(sent) == sum(rung.attempts for rung in usable)
    assert [step.steps_left for step in sent] == list(reversed(range(len(sent))))
    assert [step.next_channel for step in sent] == [step.channel for step in sent[1:]] + [None] * bool(sent)


@given(ladders, st.sampled_from(Connectivity), reachable, st.timedeltas(timedelta(0), 400 * DAY))
def test_no_wait_is_shorter_than_the_patience_nor_longer_than_two_weeks(ladder, connectivity, channels, left):
    for step in climb(ladder, connectivity, channels)[0]:
        wait = look_again_at(step, NOW + left, NOW) - NOW
        assert step.patience <= wait <= LONGEST_WAIT


def test_silence_doubles_the_wait_while_there_is_time_and_none_is_lost_towards_the_end():
    first, second, last = climb(Ladder({DAILY: (Rung(Channel.MQTT, 10 * HOUR, 3, DAY),)}), DAILY, BOTH)[0]
    far = NOW + 300 * DAY
    assert [look_again_at(step, far, NOW) - NOW for step in (first, second, last)] == [10 * HOUR, 20 * HOUR, 40 * HOUR]
    # Thirty hours for three messages: each comes while the certificate is valid.
    assert look_again_at(second, NOW + 30 * HOUR, NOW) == NOW + 15 * HOUR
    assert look_again_at(last, NOW + 5 * HOUR, NOW) == NOW + 10 * HOUR


def test_messages_that_end_before_the_wait_does_follow_each_other_until_they_cover_it():
    rung = Rung(Channel.SMS, 3 * DAY, 6, DAY)
    sent, _reason = climb(Ladder({DAILY: (rung,)}), DAILY, BOTH)
    waits = [look_again_at(step, NOW + 300 * DAY, NOW) - NOW for step in sent]
    assert waits == [DAY, DAY, DAY, DAY, DAY, 4 * DAY]
    assert [step.unanswered for step in sent] == [False, False, False, True, True, True]
    assert shortest_climb((rung,)) == 6 * DAY
    # So whoever sleeps for the whole wait is reached, at whatever hour of it he wakes.
    left = [sum(waits[:number], timedelta(0)) for number in range(rung.a_round)]
    assert [begin % (3 * DAY) for begin in left] == [timedelta(0), DAY, 2 * DAY]


@given(rungs, st.integers(0, 49))
def test_a_device_never_has_two_messages_of_a_rung_at_once(rung, made):
    least, meant = rung.waits(made)
    assert least == min(rung.patience, rung.validity)
    assert least <= meant <= LONGEST_WAIT
    assert rung.a_round * least >= rung.patience


@given(ladders)
def test_a_ladder_is_read_back_from_its_json_and_from_its_text(ladder):
    assert Ladder.from_json(ladder.to_json()) == ladder
    assert ladder_text.read(ladder_text.written(ladder)) == ladder


def test_the_default_is_written_as_people_write_it():
    assert ladder_text.written(DEFAULT).splitlines() == [
        "always on: MQTT 3 × 1 d, SMS 2 × 1 d, MQTT 3 × 1 d, SMS 2 × 1 d, MQTT 8 × 1 d",
        "daily: MQTT 2 × 3 d, SMS 3 × 3 d, MQTT 2 × 3 d, SMS 2 × 3 d, MQTT 5 × 3 d",
        "intermittent: MQTT 3 × 3 d, SMS 6 × 3 d valid 1 d, MQTT 2 × 3 d, SMS 3 × 3 d valid 1 d, MQTT 5 × 3 d",
    ]
    written = "DAILY:  mqtt 2 x 3 d, sms 1*1 d 12 h valid 18 h"
    assert ladder_text.written(ladder_text.read(written)) == "daily: MQTT 2 × 3 d, SMS 1 × 1 d 12 h valid 18 h"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hourly: MQTT 2 × 3 d", "begin with one of always on, daily, intermittent"),
        ("daily MQTT 2 × 3 d", "begin with one of"),
        ("daily: MQTT 2 × 3 d\ndaily: SMS 1 × 1 d", "a line for daily already"),
        ("daily: pigeon 2 × 3 d", "“pigeon” is no channel; there are mqtt, sms, webhook"),
        ("daily: MQTT twice", "write a step as"),
        ("daily: MQTT 2 × soon", "“soon” is no span of time"),
        ("daily: MQTT 2 × 15 d", "at most 14 days"),
        ("daily: MQTT 2 × 0 d", "more than nothing"),
        ("daily: MQTT 0 × 3 d", "1 to 50 attempts"),
        ("daily: MQTT 2 × 999999 d", "at most 14 days"),
        ("daily: " + ", ".join(["MQTT 1 × 1 d"] * 9), "at most 8 rungs"),
    ],
)
def test_what_is_no_ladder_is_refused_with_the_line_and_what_is_right(text, told):
    with pytest.raises(LadderError, match=told):
        ladder_text.read(text)


@pytest.mark.parametrize(
    "data", [None, [], {"hourly": []}, {"daily": [{}]}, {"daily": [{"channel": "mqtt", "patience": "x"}]}, {"daily": 3}]
)
def test_json_that_is_no_ladder_is_refused(data):
    with pytest.raises(LadderError):
        Ladder.from_json(data)


def test_channels_that_begin_further_on_go_first():
    mqtt, sms, webhook = (Rung(channel, HOUR, 1, HOUR) for channel in (Channel.MQTT, Channel.SMS, Channel.WEBHOOK))
    assert Ladder({Connectivity.DAILY: (mqtt, sms, mqtt)}).later_first == (Channel.SMS, Channel.MQTT)
    assert Ladder({Connectivity.DAILY: (sms, mqtt)}).later_first == (Channel.MQTT, Channel.SMS)
    ladders = {Connectivity.DAILY: (mqtt, sms), Connectivity.INTERMITTENT: (mqtt, sms, webhook)}
    assert Ladder(ladders).later_first == (Channel.WEBHOOK, Channel.SMS, Channel.MQTT)
    assert Ladder({}).later_first == ()
