"""Ticks at the same time, ticks that die, plans that race: no device is asked twice, none is forgotten."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent
from inventory.sightings import record_sighting
from inventory.x509.csr import parse
from renewal import enrolling
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.planning import CampaignError, Plan
from renewal.campaigns.settings import Pace
from renewal.channels.messages import Delivery, Fate, TriggerMessage
from renewal.channels.recording import RecordingChannel
from renewal.models import Attempt, Campaign, CampaignState, Target
from tests.factories import DAY, NOW, fleet
from tests.parallel import at_once, beside
from tests.renewal.rows import meters, over_mqtt, running_campaign, tick

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db(transaction=True)


def fresh(campaign: Campaign) -> Campaign:
    return Campaign.objects.select_related("fleet").get(pk=campaign.pk)


@pytest.mark.parametrize("pace", [1000, 4])
def test_ten_ticks_at_once_trigger_each_target_once(pace):
    meters(30)
    campaign, channel = running_campaign(pace=Pace(60 * pace)), RecordingChannel()
    for second in range(-(-30 // pace)):
        now = NOW + timedelta(seconds=second)
        at_once([lambda now=now: tick(fresh(campaign), now, channel)] * 10)
    sent = Counter(message.address for message in channel.sent)
    assert sent == {f"meter-{number}": 1 for number in range(30)}
    assert Attempt.objects.count() == 30
    assert set(Target.objects.values_list("attempts_made", flat=True)) == {1}


def test_ticks_at_once_finish_a_campaign_once_and_none_fails():
    [meter] = meters(1)
    campaign, channel = running_campaign(), RecordingChannel()
    new = enrolling.renew(meter.der, parse(meter.renewal_request()), label=None, now=NOW, source_address=None)
    record_sighting(new, meter.device, now=NOW, actor=SYSTEM)
    reports = [report for report in at_once([lambda: tick(fresh(campaign), NOW, channel)] * 8) if report]
    assert sum(report.finished for report in reports) == 1
    assert sum(report.progress.confirmed for report in reports) == 1
    assert fresh(campaign).state == CampaignState.FINISHED
    assert AuditEvent.objects.filter(action=AuditAction.CAMPAIGN_FINISHED).count() == 1


class SlowChannel(RecordingChannel):
    """Does something else before it sends."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        self._meanwhile()
        return super().send(messages)


def test_a_tick_does_nothing_while_another_of_its_campaign_is_not_over():
    meters(4)
    campaign, second = running_campaign(pace=Pace(120)), RecordingChannel()
    with ThreadPoolExecutor(1) as threads:
        overlapping = []
        first = SlowChannel(
            lambda: overlapping.append(beside(threads, lambda: tick(fresh(campaign), NOW, second)).result())
        )
        assert tick(fresh(campaign), NOW, first).fates[Fate.TAKEN] == 2
    assert (overlapping, second.sent) == ([None], [])
    assert tick(fresh(campaign), NOW + timedelta(seconds=1), second).fates[Fate.TAKEN] == 2


def test_a_tick_that_ends_while_a_person_pauses_the_campaign_leaves_it_paused():
    [meter] = meters(1)
    campaign = running_campaign()
    stale = fresh(campaign)
    planning.pause(campaign, now=NOW, actor=SYSTEM)
    new = enrolling.renew(meter.der, parse(meter.renewal_request()), label=None, now=NOW, source_address=None)
    record_sighting(new, meter.device, now=NOW, actor=SYSTEM)
    assert not tick(stale, NOW, RecordingChannel()).finished
    assert fresh(campaign).state == CampaignState.PAUSED


class DyingChannel:
    """Sends some of a batch, then the process is killed."""

    def __init__(self, survives: int) -> None:
        self.sent: list[TriggerMessage] = []
        self._survives = survives

    def send(self, messages: Sequence[TriggerMessage]) -> list[Delivery]:
        self.sent.extend(messages[: self._survives])
        raise KeyboardInterrupt


@pytest.mark.parametrize("survives", [0, 1, 3])
def test_a_tick_killed_between_claim_and_answer_costs_a_wait_and_never_a_second_trigger(survives):
    meters(3)
    campaign = running_campaign(ladder=over_mqtt(10 * HOUR))
    dying, channel = DyingChannel(survives), RecordingChannel()
    with pytest.raises(KeyboardInterrupt):
        tick(fresh(campaign), NOW, dying)
    for hours in range(10):
        tick(fresh(campaign), NOW + hours * HOUR, channel)
    assert channel.sent == []
    tick(fresh(campaign), NOW + 10 * HOUR, channel)
    assert len(channel.sent) == 3
    assert Counter(Attempt.objects.values_list("outcome", flat=True)) == {"claimed": 3, "sent": 3}
    assert Counter(Attempt.objects.values_list("number", flat=True)) == {1: 3, 2: 3}


def test_two_plans_at_once_never_take_a_device_twice():
    meters(5)

    def plan() -> int:
        try:
            return planning.plan(
                Plan("Spring", Selection(fleet(), NOW, NOW + 60 * DAY), NOW), now=NOW, actor=SYSTEM
            ).targets.count()
        except CampaignError:
            return 0

    assert sorted(at_once([plan] * 4)) == [0, 0, 0, 5]


def test_starts_and_pauses_at_once_are_each_done_once():
    meters(1)
    campaign = running_campaign()

    def pause() -> bool:
        try:
            planning.pause(fresh(campaign), now=NOW, actor=SYSTEM)
        except CampaignError:
            return False
        return True

    assert sorted(at_once([pause] * 6)) == [False] * 5 + [True]
    assert AuditEvent.objects.filter(action=AuditAction.CAMPAIGN_PAUSED).count() == 1
