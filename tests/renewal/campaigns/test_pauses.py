"""What pause, resume and stop do to a campaign: the contract of docs/campaigns.md, cell by cell."""

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent, Device
from renewal.campaigns import planning
from renewal.campaigns.planning import CampaignError
from renewal.campaigns.settings import Pace
from renewal.channels.messages import Delivery, TriggerMessage
from renewal.channels.recording import RecordingChannel
from renewal.models import Campaign, CampaignState, Target, TargetState
from renewal.story import outlook
from tests.factories import DAY, NOW, enrolled_many, fleet
from tests.parallel import beside
from tests.renewal.campaigns.test_campaigns import renew, states
from tests.renewal.rows import meters, over_mqtt, planned_campaign, running_campaign, tick

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
pytestmark = [pytest.mark.django_db, pytest.mark.long]

VERBS = {"start": planning.start, "pause": planning.pause, "stop": planning.stop, "finish": planning.finish}
CONTRACT = {
    (CampaignState.PLANNED, "start"): CampaignState.RUNNING,
    (CampaignState.PLANNED, "stop"): CampaignState.STOPPED,
    (CampaignState.RUNNING, "pause"): CampaignState.PAUSED,
    (CampaignState.RUNNING, "stop"): CampaignState.STOPPED,
    (CampaignState.RUNNING, "finish"): CampaignState.FINISHED,
    (CampaignState.PAUSED, "start"): CampaignState.RUNNING,
    (CampaignState.PAUSED, "stop"): CampaignState.STOPPED,
}


def fresh(campaign: Campaign) -> Campaign:
    return Campaign.objects.select_related("fleet").get(pk=campaign.pk)


def do(verb: str, campaign: Campaign, now=NOW) -> None:
    VERBS[verb](campaign, now=now, actor=SYSTEM)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", CampaignState)
def test_each_verb_leads_where_the_contract_says_or_is_refused_and_changes_nothing(state, verb):
    meters(1)
    campaign = planned_campaign()
    Campaign.objects.update(state=state, paused_at=NOW if state == CampaignState.PAUSED else None)
    before = Campaign.objects.values().get()
    target = CONTRACT.get((state, verb))
    if target is None:
        with pytest.raises(CampaignError, match=f"The campaign is {state}"):
            do(verb, campaign)
        assert Campaign.objects.values().get() == before
    else:
        do(verb, campaign)
        assert fresh(campaign).state == target


def test_ten_days_of_pause_skip_no_step_and_fire_none_at_once():
    meters(4)
    campaign, channel = running_campaign(ladder=over_mqtt(72 * HOUR, 3), pace=Pace(2)), RecordingChannel()
    for minute in range(3):
        tick(campaign, NOW + minute * MINUTE, channel)
    assert len(channel.sent) == 4
    do("pause", campaign, NOW + HOUR)
    for day in range(10):
        tick(campaign, NOW + HOUR + day * DAY, channel)
    do("start", campaign, NOW + HOUR + 10 * DAY)
    tick(campaign, NOW + HOUR + 10 * DAY, channel)
    assert len(channel.sent) == 4
    # 71 of the 72 hours are left of each wait; then the pace holds.
    for minute in range(-5, 5):
        tick(campaign, NOW + 10 * DAY + 72 * HOUR + minute * MINUTE, channel)
        assert len(channel.sent) <= 4 + max(0, 2 * (minute + 1))
    assert Counter(message.device for message in channel.sent) == {f"M{number:04}": 2 for number in range(4)}
    assert set(Target.objects.values_list("rung_attempts", flat=True)) == {2}


def test_a_wait_that_began_in_a_pause_begins_when_the_pause_ends():
    [meter] = meters(1)
    campaign, channel = running_campaign(ladder=over_mqtt(10 * HOUR, 2)), RecordingChannel()
    tick(campaign, NOW, channel)
    do("pause", campaign, NOW + HOUR)
    renew(meter, NOW + 2 * HOUR)
    tick(campaign, NOW + 3 * HOUR, channel)
    do("start", campaign, NOW + 5 * HOUR)
    for hour in range(5, 15):
        tick(campaign, NOW + hour * HOUR, channel)
    assert len(channel.sent) == 1
    tick(campaign, NOW + 15 * HOUR, channel)
    assert len(channel.sent) == 2


def test_only_the_end_of_certificates_goes_on_in_a_pause_and_devices_are_served():
    meter, _silent = meters(2, expires_in=2 * DAY)
    campaign, channel = running_campaign(), RecordingChannel()
    tick(campaign, NOW, channel)
    do("pause", campaign, NOW + HOUR)
    renew(meter, NOW + DAY)
    tick(campaign, NOW + DAY, channel)
    assert states(campaign) == {TargetState.ISSUED: 1, TargetState.TRIGGERED: 1}
    do("start", campaign, NOW + 3 * DAY)
    tick(campaign, NOW + 3 * DAY, channel)
    assert states(campaign) == {TargetState.ISSUED: 1, TargetState.FAILED: 1}
    assert len(channel.sent) == 2


def test_what_a_paused_campaign_would_do_next_has_no_date():
    [meter] = meters(1)
    campaign = running_campaign()
    tick(campaign, NOW, RecordingChannel())
    target = Target.objects.select_related("campaign").get()
    assert target.next_step_by_wall_clock == NOW + 72 * HOUR
    do("pause", campaign, NOW + HOUR)
    assert Target.objects.select_related("campaign").get().next_step_by_wall_clock is None
    assert outlook(meter.device, NOW + HOUR) is None
    do("start", campaign, NOW + 3 * HOUR)
    assert Target.objects.select_related("campaign").get().next_step_by_wall_clock == NOW + 74 * HOUR


def test_a_stopped_campaign_keeps_what_it_did_and_another_may_take_up_its_devices():
    meters(3)
    campaign, channel = running_campaign(pace=Pace(2)), RecordingChannel()
    tick(campaign, NOW, channel)
    do("stop", campaign, NOW + HOUR)
    assert states(campaign) == {TargetState.TRIGGERED: 1, TargetState.PLANNED: 2}
    tick(campaign, NOW + DAY, channel)
    assert len(channel.sent) == 1
    assert planned_campaign().targets.count() == 3
    assert AuditEvent.objects.filter(action=AuditAction.CAMPAIGN_STOPPED).count() == 1


class HeldChannel(RecordingChannel):
    """Sends when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may = threading.Event(), threading.Event()

    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        self.asked.set()
        assert self.may.wait(300)
        return super().send(messages)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", ["pause", "stop"])
def test_once_the_verb_has_returned_no_message_leaves_that_was_in_hand(verb):
    named = {"fleet": fleet(), "registered_at": NOW - 1000 * DAY}
    enrolled_many(
        Device.objects.bulk_create(
            Device(serial=f"M{number:04}", mqtt_id=f"meter-{number}", **named) for number in range(2000)
        )
    )
    campaign, channel = running_campaign(pace=Pace(600_000)), HeldChannel()
    with ThreadPoolExecutor(2) as threads:
        ticking = beside(threads, lambda: tick(fresh(campaign), NOW, channel))
        while not channel.asked.wait(0.1):
            assert not ticking.done(), ticking.result()
        pausing = beside(threads, lambda: do(verb, campaign))
        assert not pausing.done()
        channel.may.set()
        pausing.result()
        sent = len(channel.sent)
        ticking.result()
    # A first thousand was in hand, perhaps a second when the verb was too late for it.
    assert sent in (1000, 2000)
    assert len(channel.sent) == sent
