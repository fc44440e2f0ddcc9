"""A broker in trouble costs devices nothing: what never left is given back and soon tried again, and people know."""

from collections import Counter
from datetime import timedelta

import pytest

from inventory.alerts import policies
from inventory.alerts.conditions import report
from inventory.models import Alert, AlertKind, Resolution
from renewal.campaigns.ticking import tick
from renewal.channels import trouble
from renewal.channels.messages import Delivery, Fate
from renewal.channels.recording import RecordingChannel
from renewal.models import Attempt, Campaign, Channel, ChannelTrouble, Target, TargetState
from renewal.story import outlook
from tests.factories import NOW, device, enrolled, fleet
from tests.renewal.rows import meters, running_campaign

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
DOWN = "broker unreachable: [Errno 111] Connection refused"
pytestmark = pytest.mark.django_db


def down() -> RecordingChannel:
    return RecordingChannel(takes=0, detail=DOWN)


def target_facts() -> set[tuple]:
    return set(Target.objects.values_list("state", "attempts_made", "triggered_at", "next_step_at"))


def tick_each_minute(campaign: Campaign, channel: RecordingChannel, *, start=NOW, minutes: int) -> None:
    for minute in range(minutes):
        tick(campaign, start + minute * MINUTE, channel)


def test_a_trigger_that_never_left_costs_no_attempt_and_is_tried_again_within_minutes():
    meters(2)
    campaign, channel = running_campaign(retry_interval=72 * HOUR), RecordingChannel()
    ticked = tick(campaign, NOW, down())
    assert (ticked.triggered, ticked.never_left) == (0, 2)
    assert target_facts() == {(TargetState.PLANNED, 0, None, NOW + MINUTE)}
    assert not Attempt.objects.exists()
    assert tick(campaign, NOW + MINUTE, channel).triggered == 2
    assert target_facts() == {(TargetState.TRIGGERED, 1, NOW + MINUTE, NOW + MINUTE + 72 * HOUR)}
    assert list(Attempt.objects.values_list("number", "outcome")) == [(1, "sent")] * 2


def test_a_later_trigger_that_never_left_keeps_what_the_earlier_ones_did():
    [meter] = meters(1)
    campaign = running_campaign(retry_interval=HOUR)
    tick(campaign, NOW, RecordingChannel())
    tick(campaign, NOW + HOUR, down())
    assert target_facts() == {(TargetState.TRIGGERED, 1, NOW, NOW + HOUR + MINUTE)}
    assert Attempt.objects.get().number == 1
    assert outlook(meter.device, NOW + HOUR).words["attempts"] == "1"


def test_a_broker_down_for_hours_escalates_nobody_and_is_tried_with_a_few_at_a_time():
    meters(15)
    campaign, channel = running_campaign(retry_interval=HOUR, max_attempts=1), down()
    tick_each_minute(campaign, channel, minutes=180)
    assert set(Target.objects.values_list("state", "attempts_made")) == {(TargetState.PLANNED, 0)}
    # After 1, 3, 7 and 15 minutes, and then each ten: not once a tick.
    assert channel.batches == [15] + [trouble.PROBE] * (4 + 16)
    back = RecordingChannel()
    tick_each_minute(campaign, back, start=NOW + 3 * HOUR, minutes=15)
    assert Counter(message.address for message in back.sent) == {f"meter-{number}": 1 for number in range(15)}


def test_a_batch_that_breaks_off_gives_back_what_never_left_and_the_campaign_goes_on():
    meters(5)
    campaign = running_campaign(retry_interval=72 * HOUR)
    assert tick(campaign, NOW, RecordingChannel(takes=3, detail=DOWN)).triggered == 3
    assert Counter(Target.objects.values_list("state", flat=True)) == {"triggered": 3, "planned": 2}
    assert not ChannelTrouble.objects.exists()
    assert tick(campaign, NOW + MINUTE, RecordingChannel()).triggered == 2


def test_a_trigger_in_doubt_counts_since_the_device_may_have_it():
    meters(1)
    campaign = running_campaign(retry_interval=72 * HOUR)
    ticked = tick(campaign, NOW, RecordingChannel(takes=0, fate=Fate.IN_DOUBT, detail="no acknowledgement in 30 s"))
    assert (ticked.in_doubt, ticked.never_left) == (1, 0)
    assert target_facts() == {(TargetState.TRIGGERED, 1, NOW, NOW + 72 * HOUR)}
    assert list(Attempt.objects.values_list("outcome", "detail")) == [("in_doubt", "no acknowledgement in 30 s")]
    assert ChannelTrouble.objects.get().problem == "no acknowledgement in 30 s"


def test_trouble_of_one_campaign_holds_the_others_and_ends_for_all():
    meters(1)
    first = running_campaign()
    enrolled(device("B1", fleet=fleet("other"), mqtt_id="b1"))
    second = running_campaign(fleet_=fleet("other"))
    tick(first, NOW, down())
    channel = RecordingChannel()
    assert tick(second, NOW + timedelta(seconds=5), channel).triggered == 0
    assert tick(second, NOW + MINUTE, channel).triggered == 1
    assert tick(first, NOW + MINUTE, channel).triggered == 1
    assert not ChannelTrouble.objects.exists()


def test_waits_double_from_one_minute_to_ten_and_no_further():
    waits = [trouble.wait_after(tries) / MINUTE for tries in range(1, 7)]
    assert waits == [1, 2, 4, 8, 10, 10]
    assert trouble.wait_after(10**9) == 10 * MINUTE


def test_trouble_that_nobody_has_tried_since_is_not_told_as_if_it_still_were():
    trouble.note(Channel.MQTT, [Delivery(1, Fate.NEVER_LEFT, DOWN)], NOW)
    later = NOW + HOUR
    assert not ChannelTrouble.objects.current(later).exists()
    assert trouble.room(Channel.MQTT, 1000, later) == 1000
    trouble.note(Channel.MQTT, [Delivery(1, Fate.NEVER_LEFT, DOWN)], later)
    known = ChannelTrouble.objects.get()
    assert (known.since, known.tries) == (later, 1)


def test_a_channel_in_trouble_for_five_minutes_is_one_alert_that_settles_when_it_works_again():
    policies.make_defaults()
    for minute in (0, 1, 3, 7):
        now = NOW + minute * MINUTE
        trouble.note(Channel.MQTT, [Delivery(1, Fate.NEVER_LEFT, DOWN)], now)
        report([AlertKind.CHANNEL], trouble.concerns(now), now)
        assert Alert.objects.count() == (1 if minute >= 5 else 0)
    alert = Alert.objects.get()
    assert (alert.kind, alert.about, alert.ends_at, alert.resolved_at) == (AlertKind.CHANNEL, "MQTT", NOW, None)
    trouble.note(Channel.MQTT, [Delivery(1, Fate.TAKEN)], now)
    report([AlertKind.CHANNEL], trouble.concerns(now), now)
    alert.refresh_from_db()
    assert alert.resolution == Resolution.SETTLED
