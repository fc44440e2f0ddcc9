"""Evergreen campaigns: devices join as their certificates come near their end, and again with the next one."""

from datetime import timedelta

import pytest

from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent, Certificate, Device, DeviceStatus
from inventory.sightings import record_sighting
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.freezing import Waves
from renewal.campaigns.joining import join
from renewal.campaigns.ladder import Ladder
from renewal.campaigns.planning import CampaignError, Plan
from renewal.campaigns.settings import Pace, Settings
from renewal.channels.recording import RecordingChannel
from renewal.models import Campaign, CampaignState, Target, TargetState
from tests.factories import DAY, NOW, Enrolled, device, enrolled, fleet
from tests.renewal.campaigns.test_campaigns import renew
from tests.renewal.rows import over_mqtt, tick

HOUR = timedelta(hours=1)
WITHIN = 30 * DAY
pytestmark = pytest.mark.django_db


def evergreen(*, pace: int = 5000, **changes) -> Campaign:
    selection = Selection(fleet(), NOW, NOW + WITHIN)
    plan = Plan(
        "For ever", selection, None, over_mqtt(10 * DAY, 5), Settings(Pace(pace)), joins_within=WITHIN, **changes
    )
    campaign = planning.plan(plan, now=NOW, actor=SYSTEM)
    planning.start(campaign, now=NOW, actor=SYSTEM)
    campaign.refresh_from_db()
    return campaign


def meter(name: str, **options) -> Enrolled:
    return enrolled(device(name, mqtt_id=name), **options)


def serials(campaign: Campaign) -> set[str]:
    return set(campaign.targets.values_list("device__serial", flat=True))


def test_a_device_joins_as_its_certificate_comes_near_its_end():
    meter("soon", expires_in=20 * DAY)
    meter("later", expires_in=40 * DAY)
    campaign, channel = evergreen(), RecordingChannel()
    tick(campaign, NOW, channel)
    assert serials(campaign) == {"soon"}
    tick(campaign, NOW + 9 * DAY, channel)
    assert serials(campaign) == {"soon"}
    tick(campaign, NOW + 11 * DAY, channel)
    assert serials(campaign) == {"soon", "later"}
    assert "later" in {message.address for message in channel.sent}
    assert campaign.waves.get().size == 2
    event = AuditEvent.objects.get(action=AuditAction.CAMPAIGN_JOINED)
    assert event.details == {"campaign": campaign.pk, "targets": 1}


def test_it_may_be_planned_for_nobody_yet_and_never_ends_by_itself():
    campaign, channel = evergreen(), RecordingChannel()
    tick(campaign, NOW, channel)
    campaign.refresh_from_db()
    assert campaign.state == CampaignState.RUNNING
    meter("first", expires_in=20 * DAY)
    tick(campaign, NOW + 2 * HOUR, channel)
    assert serials(campaign) == {"first"}


def test_who_joins_together_obeys_the_pace():
    campaign, channel = evergreen(pace=2), RecordingChannel()
    tick(campaign, NOW, channel)
    for number in range(10):
        meter(f"M{number}", expires_in=20 * DAY)
    sent = []
    for minute in range(62, 68):
        tick(campaign, NOW + minute * timedelta(minutes=1), channel)
        sent.append(len(channel.sent))
    assert campaign.targets.count() == 10
    assert sent == [2, 4, 6, 8, 10, 10]


def test_a_device_joins_again_with_its_next_certificate():
    held = meter("M1", expires_in=20 * DAY)
    campaign, channel = evergreen(), RecordingChannel()
    tick(campaign, NOW, channel)
    new = renew(held, NOW + HOUR)
    record_sighting(new, held.device, now=NOW + HOUR, actor=SYSTEM)
    tick(campaign, NOW + 2 * HOUR, channel)
    assert campaign.targets.get().state == TargetState.CONFIRMED
    Certificate.objects.filter(pk=new.pk).update(not_after=NOW + 25 * DAY)
    tick(campaign, NOW + 4 * HOUR, channel)
    assert list(campaign.targets.order_by("id").values_list("certificate", "state")) == [
        (held.certificate.pk, TargetState.CONFIRMED),
        (new.pk, TargetState.TRIGGERED),
    ]


def test_a_device_that_comes_and_goes_has_one_target_and_one_budget_of_attempts():
    held = meter("M1", expires_in=25 * DAY)
    campaign, channel = evergreen(), RecordingChannel()
    states = []
    for day in range(20):
        status = DeviceStatus.IN_SERVICE if day % 2 else DeviceStatus.SUSPENDED
        changed = Device.objects.get(pk=held.device.pk)
        changed.status = status
        changed.save()
        Campaign.objects.filter(pk=campaign.pk).update(swept_at=None)
        tick(campaign, NOW + day * DAY + HOUR, channel)
        states.append(Target.objects.get().state)
    assert TargetState.WITHDRAWN in states
    assert Target.objects.count() == 1
    # Five attempts is all its ladder has, however often it came back.
    assert len(channel.sent) <= 5
    assert Target.objects.get().attempts_made == len(channel.sent)


def test_it_is_for_a_fleet_a_site_or_a_batch_and_is_not_cut():
    with pytest.raises(CampaignError, match="not cut into waves"):
        evergreen(waves=Waves(canary=1000))


@pytest.mark.parametrize("number", [1, 30])
def test_joining_costs_the_same_queries_for_one_and_for_thirty(django_assert_num_queries, number):
    campaign = evergreen()
    for each in range(number):
        meter(f"M{each}", expires_in=20 * DAY)
    campaign = Campaign.objects.select_related("fleet", "site", "batch").get(pk=campaign.pk)
    # Savepoint, lock, revoked authorities, targets, back, campaign, first end, wave, audit event, release.
    with django_assert_num_queries(10):
        assert join(campaign, Ladder.from_json(campaign.ladder), NOW + 2 * HOUR) == number
