"""A campaign from plan to end, through the real database and the real gate; only the broker is a recording one."""

from collections import Counter
from datetime import datetime, timedelta

import pytest

from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent, Certificate, CertificateState, Device, DeviceStatus
from inventory.sightings import record_sighting
from inventory.x509.csr import parse
from renewal import enrolling
from renewal.board.funnel import funnels
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.observing import observe
from renewal.campaigns.planning import CampaignError, Plan
from renewal.campaigns.settings import Pace
from renewal.channels.messages import Fate
from renewal.channels.recording import RecordingChannel
from renewal.models import Campaign, CampaignState, Target, TargetReason, TargetState
from tests.factories import DAY, NOW, Enrolled, enrolled, fleet
from tests.renewal.rows import meters, over_mqtt, planned_campaign, running_campaign, tick

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db


running, planned = running_campaign, planned_campaign


def states(campaign: Campaign) -> Counter:
    return Counter(Target.objects.filter(campaign=campaign).values_list("state", flat=True))


def renew(meter: Enrolled, now: datetime) -> Certificate:
    request = parse(meter.renewal_request())
    outcome = enrolling.renew(meter.der, request, label=None, now=now, source_address=None)
    assert isinstance(outcome, Certificate), outcome
    return outcome


def test_planning_freezes_exactly_the_certificates_of_the_span(django_assert_num_queries):
    chosen = meters(3)
    enrolled(expires_in=61 * DAY)
    enrolled(expires_in=-1 * DAY)
    campaign = planned()
    targets = Target.objects.filter(campaign=campaign)
    assert {target.certificate_id for target in targets} == {meter.certificate.pk for meter in chosen}
    assert states(campaign) == {TargetState.PLANNED: 3}
    event = AuditEvent.objects.get(action=AuditAction.CAMPAIGN_PLANNED)
    assert event.details == {"campaign": campaign.pk, "targets": 3}


def test_planning_takes_as_many_queries_for_thirty_targets_as_for_three(django_assert_num_queries):
    meters(30)
    selection = Selection(fleet(), NOW, NOW + 60 * DAY)
    # Lock, campaign, revoked authorities, targets, their waves (two), audit event; and a savepoint inside the test.
    with django_assert_num_queries(7 + 2):
        planning.plan(Plan("Spring", selection, NOW), now=NOW, actor=SYSTEM)


def test_planning_leaves_out_what_needs_no_renewal_or_may_not_have_one():
    out_of_service, already_renewed, revoked, wanted = meters(4)
    Device.objects.filter(pk=out_of_service.device.pk).update(status=DeviceStatus.RETIRED)
    renew(already_renewed, NOW)
    Certificate.objects.filter(pk=revoked.certificate.pk).update(
        state=CertificateState.REVOKED, revoked_at=NOW, revocation_reason="keyCompromise"
    )
    assert [target.device for target in planned().targets.all()] == [wanted.device]


def test_a_device_is_in_one_open_campaign_at_a_time():
    meters(2)
    planned()
    with pytest.raises(CampaignError, match="No certificate of fleet demo"):
        planned()
    assert Campaign.objects.count() == 1


def test_a_trigger_goes_to_each_device_once_an_interval():
    meters(3)
    campaign, channel = running(ladder=over_mqtt(10 * HOUR)), RecordingChannel()
    for hours in range(10):
        tick(campaign, NOW + hours * HOUR, channel)
    assert Counter(message.address for message in channel.sent) == {f"meter-{n}": 1 for n in range(3)}
    tick(campaign, NOW + 10 * HOUR, channel)
    assert Counter(message.address for message in channel.sent) == {f"meter-{n}": 2 for n in range(3)}
    assert states(campaign) == {TargetState.TRIGGERED: 3}


def test_a_device_that_renews_is_followed_to_its_first_use():
    [meter] = meters(1)
    campaign, channel = running(), RecordingChannel()
    tick(campaign, NOW, channel)
    new = renew(meter, NOW + HOUR)
    tick(campaign, NOW + 2 * HOUR, channel)
    target = campaign.targets.get()
    assert (target.state, target.renewed_certificate_id, target.issued_at) == (
        TargetState.ISSUED,
        new.pk,
        NOW + HOUR,
    )
    old = Certificate.objects.get(pk=meter.certificate.pk)
    assert old.state == CertificateState.CONFIRMED

    record_sighting(new, meter.device, now=NOW + 3 * HOUR, actor=SYSTEM)
    report = tick(campaign, NOW + 4 * HOUR, channel)
    target.refresh_from_db()
    assert (target.state, target.confirmed_at) == (TargetState.CONFIRMED, NOW + 3 * HOUR)
    old.refresh_from_db()
    assert (old.state, old.successor_id) == (CertificateState.SUPERSEDED, new.pk)
    assert report.finished
    campaign.refresh_from_db()
    assert campaign.state == CampaignState.FINISHED
    assert len(channel.sent) == 1


def test_a_certificate_that_is_fetched_but_not_used_is_asked_for_again():
    [meter] = meters(1)
    campaign, channel = running(ladder=over_mqtt(10 * HOUR)), RecordingChannel()
    tick(campaign, NOW, channel)
    renew(meter, NOW + HOUR)
    tick(campaign, NOW + 10 * HOUR, channel)
    assert len(channel.sent) == 1
    tick(campaign, NOW + 12 * HOUR, channel)
    assert len(channel.sent) == 2
    assert states(campaign) == {TargetState.ISSUED: 1}


def test_silence_to_every_attempt_ends_with_a_person():
    meters(1)
    campaign, channel = running(ladder=over_mqtt(HOUR, 2)), RecordingChannel()
    for hours in range(10):
        tick(campaign, NOW + hours * HOUR, channel)
    assert len(channel.sent) == 2
    assert states(campaign) == {TargetState.ESCALATED: 1}
    assert not tick(campaign, NOW + 20 * HOUR, channel).finished


def test_a_device_that_never_uses_what_it_fetched_is_reminded_on_each_rung_and_escalated_once():
    [meter] = meters(1)
    campaign, channel = running(ladder=over_mqtt(HOUR, 1)), RecordingChannel()
    tick(campaign, NOW, channel)
    renew(meter, NOW)
    reports = [tick(campaign, NOW + (2 + hours) * HOUR, channel) for hours in range(4)]
    assert len(channel.sent) == 2
    assert [report.left_to_people for report in reports] == [0, 1, 0, 0]
    assert [report.progress.issued for report in reports] == [1, 0, 0, 0]
    target = campaign.targets.get()
    assert (target.state, target.reason) == (TargetState.ESCALATED, TargetReason.UNUSED)
    assert target.escalated_at == NOW + 3 * HOUR
    record_sighting(target.renewed_certificate, meter.device, now=NOW + DAY, actor=SYSTEM)
    assert tick(campaign, NOW + DAY, channel).finished


def test_an_escalated_device_that_renews_after_all_is_confirmed():
    [meter] = meters(1)
    campaign, channel = running(ladder=over_mqtt(HOUR, 1)), RecordingChannel()
    tick(campaign, NOW, channel)
    tick(campaign, NOW + 2 * HOUR, channel)
    assert states(campaign) == {TargetState.ESCALATED: 1}
    record_sighting(renew(meter, NOW + DAY), meter.device, now=NOW + DAY, actor=SYSTEM)
    assert tick(campaign, NOW + 2 * DAY, channel).finished


def test_the_pace_is_kept():
    meters(5)
    campaign, channel = running(pace=Pace(2)), RecordingChannel()
    sent = []
    for minutes in range(4):
        tick(campaign, NOW + timedelta(minutes=minutes), channel)
        sent.append(len(channel.sent))
    assert sent == [1, 3, 5, 5]


def test_a_paused_campaign_sends_nothing_but_still_sees_what_devices_do():
    first, _second = meters(2)
    campaign, channel = running(ladder=over_mqtt(HOUR)), RecordingChannel()
    planning.pause(campaign, now=NOW, actor=SYSTEM)
    campaign.refresh_from_db()
    renew(first, NOW)
    tick(campaign, NOW + DAY, channel)
    assert channel.sent == []
    assert states(campaign) == {TargetState.ISSUED: 1, TargetState.PLANNED: 1}


def test_a_device_that_leaves_service_is_withdrawn():
    first, _second = meters(2)
    campaign = running()
    Device.objects.filter(pk=first.device.pk).update(status=DeviceStatus.RETIRED)
    tick(campaign, NOW, RecordingChannel())
    assert states(campaign) == {TargetState.WITHDRAWN: 1, TargetState.TRIGGERED: 1}


def test_a_finished_campaign_does_not_start_again():
    [meter] = meters(1)
    campaign = running()
    record_sighting(renew(meter, NOW), meter.device, now=NOW, actor=SYSTEM)
    assert tick(campaign, NOW, RecordingChannel()).finished
    with pytest.raises(CampaignError, match="The campaign is finished"):
        planning.start(campaign, now=NOW, actor=SYSTEM)


def test_the_funnel_adds_up_and_takes_one_query(django_assert_num_queries):
    first, second, *_rest = meters(5)
    campaign = running(pace=Pace(240))
    tick(campaign, NOW, RecordingChannel())
    renew(first, NOW)
    record_sighting(renew(second, NOW), second.device, now=NOW, actor=SYSTEM)
    tick(campaign, NOW + timedelta(minutes=1), RecordingChannel())
    with django_assert_num_queries(1):
        funnel = funnels([campaign])[campaign.pk]
    assert sum(funnel.now.values()) == funnel.total == 5
    assert list(funnel.reached.values()) == [5, 5, 2, 1]


def test_a_tick_takes_as_many_queries_for_thirty_targets_as_for_three(django_assert_num_queries):
    meters(30)
    campaign = running()
    # The first two look at every target.
    for _ in range(2):
        observe(campaign, NOW)
    # Lock; campaign; six observe; three look at the answers; whose end has come; savepoint, running? due without a
    # message, release; trouble; savepoint, running? due, triggers, release; trouble, outcomes; campaign; anything left?
    # unlock.
    with django_assert_num_queries(27):
        assert tick(campaign, NOW, RecordingChannel()).fates[Fate.TAKEN] == 30
