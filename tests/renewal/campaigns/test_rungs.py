"""A campaign over several channels: each in its turn, by what the target's rows say, until a person goes."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.models import Connectivity, Device, Site
from renewal.campaigns.ladder import Ladder, Rung, Send, Situation, look_again_at, next_step
from renewal.campaigns.settings import Pace
from renewal.channels import acknowledgements
from renewal.channels.acknowledgements import Acknowledgement
from renewal.channels.messages import Fate
from renewal.channels.recording import RecordingChannel
from renewal.models import Attempt, Campaign, Channel, Target, TargetMove, TargetReason, TargetState
from tests.factories import DAY, NOW, Enrolled, device, enrolled, fleet
from tests.renewal.campaigns.test_campaigns import renew, states
from tests.renewal.rows import ladder_of, meters, over_mqtt, running_campaign, tick

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SLEEP = 72 * HOUR
pytestmark = [pytest.mark.django_db, pytest.mark.long]

MQTT_THEN_SMS = ladder_of(Rung(Channel.MQTT, SLEEP, 1, SLEEP), Rung(Channel.SMS, SLEEP, 2, 24 * HOUR))


def with_phone(number: int, **options) -> list[Enrolled]:
    return [
        enrolled(device(f"M{index:04}", mqtt_id=f"meter-{index}", phone_number=f"+6012345678{index}"), **options)
        for index in range(number)
    ]


class Portal:
    """Both channels, and a tick an hour."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.mqtt, self.sms = RecordingChannel(), RecordingChannel()

    def tick(self, hour: float) -> None:
        tick(self.campaign, NOW + hour * HOUR, self.mqtt, sms=self.sms)

    def tick_hours(self, first: int, last: int) -> None:
        for hour in range(first, last + 1):
            self.tick(hour)

    @property
    def sent(self) -> tuple[int, int]:
        return len(self.mqtt.sent), len(self.sms.sent)


def moves(campaign: Campaign) -> list[tuple[str, str]]:
    return list(
        TargetMove.objects.filter(target__campaign=campaign).order_by("target", "id").values_list("state", "reason")
    )


def test_a_sleeper_that_wakes_at_hour_71_gets_one_trigger_and_renews_without_an_sms():
    [meter] = with_phone(1)
    portal = Portal(running_campaign(ladder=MQTT_THEN_SMS))
    portal.tick_hours(0, 71)
    renew(meter, NOW + 71 * HOUR)
    portal.tick_hours(72, 100)
    assert portal.sent == (1, 0)
    assert states(portal.campaign) == {TargetState.ISSUED: 1}


def test_a_sleeper_that_wakes_at_hour_73_got_the_next_step_first():
    [meter] = with_phone(1)
    portal = Portal(running_campaign(ladder=MQTT_THEN_SMS))
    portal.tick_hours(0, 72)
    assert portal.sent == (1, 1)
    renew(meter, NOW + 73 * HOUR)
    portal.tick_hours(73, 100)
    assert portal.sent == (1, 1)
    assert portal.sms.sent[0].address == meter.device.phone_number
    assert portal.sms.sent[0].valid_until == NOW + (72 + 24) * HOUR


def test_a_message_is_kept_for_as_long_as_it_is_waited_for():
    with_phone(1)
    portal = Portal(running_campaign(ladder=over_mqtt(72 * HOUR, 3)))
    portal.tick_hours(0, 72)
    # Twice the patience, for it is the second.
    assert [message.valid_until for message in portal.mqtt.sent] == [NOW + 72 * HOUR, NOW + (72 + 144) * HOUR]


def test_who_answers_on_no_rung_is_left_to_a_person_and_its_rows_say_how_it_came_there():
    with_phone(1)
    portal = Portal(running_campaign(ladder=MQTT_THEN_SMS))
    portal.tick_hours(0, 400)
    assert portal.sent == (1, 2)
    target = portal.campaign.targets.get()
    assert (target.state, target.reason, target.next_step_at) == ("escalated", TargetReason.NO_ANSWER, None)
    assert list(Attempt.objects.order_by("id").values_list("number", "channel", "rung", "rung_attempt")) == [
        (1, "mqtt", 0, 1),
        (2, "sms", 1, 1),
        (3, "sms", 1, 2),
    ]
    assert moves(portal.campaign) == [("triggered", ""), ("escalated", "no_answer")]


def test_a_device_without_a_number_goes_to_a_person_when_mqtt_was_in_vain_and_one_without_anything_at_once():
    meters(1)
    enrolled(device("BARE"))
    portal = Portal(running_campaign(ladder=MQTT_THEN_SMS))
    portal.tick(0)
    assert Counter(Target.objects.values_list("state", "reason")) == {
        ("triggered", ""): 1,
        ("escalated", "no_channel"): 1,
    }
    portal.tick_hours(1, 73)
    assert portal.sent == (1, 0)
    assert states(portal.campaign) == {TargetState.ESCALATED: 2}


def test_a_channel_that_nobody_has_set_up_is_passed_over():
    with_phone(1)
    campaign, sms = running_campaign(ladder=MQTT_THEN_SMS), RecordingChannel()
    tick(campaign, NOW, None, sms=sms)
    tick(campaign, NOW + MINUTE, None, sms=sms)
    assert len(sms.sent) == 1


def test_a_device_that_is_given_a_number_is_reached_by_it_although_it_had_none_when_the_step_was_fixed():
    [meter] = meters(1)
    portal = Portal(running_campaign(ladder=MQTT_THEN_SMS))
    portal.tick(0)
    Device.objects.filter(pk=meter.device.pk).update(phone_number="+60123456789")
    portal.tick(72)
    assert portal.sent == (1, 1)


def test_a_message_refused_for_good_leaves_its_rung_at_once_and_is_not_repeated():
    with_phone(1)
    campaign, sms = running_campaign(ladder=MQTT_THEN_SMS), RecordingChannel()
    refusing = RecordingChannel(takes=0, fate=Fate.REFUSED, detail="unknown client")
    tick(campaign, NOW, refusing, sms=sms)
    tick(campaign, NOW + MINUTE, refusing, sms=sms)
    tick(campaign, NOW + 2 * MINUTE, refusing, sms=sms)
    assert (len(refusing.batches), len(sms.sent)) == (1, 1)
    assert list(Attempt.objects.order_by("id").values_list("channel", "outcome", "detail")) == [
        ("mqtt", "refused", "unknown client"),
        ("sms", "sent", ""),
    ]


def test_an_sms_that_never_left_costs_no_attempt_of_its_rung():
    with_phone(1)
    portal = Portal(running_campaign(ladder=MQTT_THEN_SMS))
    portal.tick(0)
    tick(portal.campaign, NOW + 72 * HOUR, portal.mqtt, sms=RecordingChannel(takes=0, detail="gateway down"))
    target = Target.objects.get()
    assert (target.attempts_made, target.rung, target.rung_attempts, target.channel) == (1, 1, 0, "sms")
    assert (target.state, target.next_step_at) == (TargetState.TRIGGERED, NOW + 72 * HOUR + MINUTE)


def test_a_certificate_that_ends_while_its_channel_is_broken_is_told_as_missed():
    with_phone(1, expires_in=10 * HOUR)
    portal = Portal(running_campaign(ladder=MQTT_THEN_SMS))
    portal.mqtt = RecordingChannel(takes=0, detail="broker unreachable")
    portal.tick_hours(0, 9)
    assert states(portal.campaign) == {TargetState.PLANNED: 1}
    portal.tick(10)
    assert moves(portal.campaign)[-1] == ("failed", "expired")
    assert not tick(portal.campaign, NOW + 11 * HOUR, RecordingChannel()).finished


def test_a_missed_device_that_renews_in_the_field_is_counted_after_all():
    [meter] = with_phone(1, expires_in=10 * HOUR)
    portal = Portal(running_campaign(ladder=MQTT_THEN_SMS))
    renewed = renew(meter, NOW + 9 * HOUR)
    Target.objects.update(state=TargetState.FAILED, reason=TargetReason.EXPIRED, next_step_at=None, channel="")
    portal.tick(11)
    assert Target.objects.get().renewed_certificate_id == renewed.pk


def test_a_device_that_acknowledges_is_known_to_have_the_message_and_still_climbs_the_ladder():
    with_phone(2)
    portal = Portal(running_campaign(ladder=MQTT_THEN_SMS))
    portal.tick(0)
    told = Acknowledgement("demo", "meter-0", portal.campaign.pk, NOW + HOUR)
    assert acknowledgements.note([told, told]).written == 1
    assert states(portal.campaign) == {TargetState.ACKNOWLEDGED: 1, TargetState.TRIGGERED: 1}
    target = portal.campaign.targets.get(state=TargetState.ACKNOWLEDGED)
    assert target.acknowledged_at == NOW + HOUR
    assert list(target.moves.values_list("state", flat=True)) == ["triggered", "acknowledged"]
    portal.tick_hours(1, 72)
    assert portal.sent == (2, 2)
    target.refresh_from_db()
    assert target.state == TargetState.ACKNOWLEDGED
    # Once it was given up, or has renewed, what it says late is no step back.
    Target.objects.filter(pk=target.pk).update(state="escalated", reason="no_answer", next_step_at=None, channel="")
    Attempt.objects.update(outcome="sent")
    acknowledgements.note([told])
    target.refresh_from_db()
    assert target.state == TargetState.ESCALATED


def test_each_connectivity_class_has_its_own_ladder():
    for name, connectivity in (("A", Connectivity.ALWAYS_ON), ("B", Connectivity.INTERMITTENT)):
        enrolled(device(name, mqtt_id=name.lower(), phone_number=f"+6012345678{ord(name)}", connectivity=connectivity))
    ladder = Ladder(
        {
            Connectivity.ALWAYS_ON: (Rung(Channel.SMS, HOUR, 1, HOUR),),
            Connectivity.INTERMITTENT: (Rung(Channel.MQTT, SLEEP, 1, SLEEP),),
        }
    )
    portal = Portal(running_campaign(ladder=ladder))
    portal.tick(0)
    assert [message.device for message in portal.mqtt.sent] == ["B"]
    assert [message.device for message in portal.sms.sent] == ["A"]


def test_no_site_gets_more_messages_a_minute_than_its_pace():
    for place in ("north", "south"):
        site = Site.objects.create(fleet=fleet(), name=place)
        for number in range(5):
            enrolled(device(f"{place}-{number}", mqtt_id=f"{place}-{number}", site=site))
    campaign = running_campaign(ladder=over_mqtt(), pace=Pace(6000, 2))
    channel = RecordingChannel()
    counts = []
    for seconds in range(0, 180, 30):
        tick(campaign, NOW + timedelta(seconds=seconds), channel)
        counts.append(dict(Counter(message.device.split("-")[0] for message in channel.sent)))
    assert counts == [{"north": number, "south": number} for number in (2, 2, 4, 4, 5, 5)]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    left=st.timedeltas(timedelta(seconds=1), 50 * DAY),
    patience=st.integers(1, 14 * 86_400).map(lambda seconds: timedelta(seconds=seconds)),
    attempts=st.integers(1, 6),
    made=st.integers(0, 5),
)
def test_the_statement_waits_as_the_ladder_says(left, patience, attempts, made):
    Target.objects.all().delete()
    Campaign.objects.all().delete()
    if not Device.objects.exists():
        meters(1)
    ladder = over_mqtt(patience, attempts)
    campaign = running_campaign(ladder=ladder)
    Target.objects.update(rung_attempts=made, attempts_made=made, ends_at=NOW + left)
    situation = Situation(Connectivity.DAILY, 0, made, frozenset({Channel.MQTT}))
    step = next_step(situation, ladder)
    tick(campaign, NOW, RecordingChannel())
    target = Target.objects.get()
    if isinstance(step, Send):
        # The database counts in microseconds.
        assert target.next_step_at
        assert abs(target.next_step_at - look_again_at(step, NOW + left, NOW)) <= timedelta(microseconds=1)
    else:
        assert (target.state, target.reason) == ("escalated", step.reason)


def test_where_the_pace_is_short_who_is_silent_comes_to_the_end_of_the_ladder_while_others_wait():
    with_phone(9)
    rungs = (Rung(Channel.MQTT, MINUTE, 1, MINUTE), Rung(Channel.SMS, MINUTE, 1, MINUTE))
    campaign, mqtt, sms = (
        running_campaign(ladder=ladder_of(*rungs), pace=Pace(2)),
        RecordingChannel(),
        RecordingChannel(),
    )
    for minute in range(6):
        tick(campaign, NOW + minute * MINUTE, mqtt, sms=sms)
    assert len(mqtt.sent) + len(sms.sent) == 1 + 5 * 2
    assert len(mqtt.sent) < 9
    assert states(campaign)[TargetState.ESCALATED] > 0
