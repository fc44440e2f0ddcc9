"""Why a campaign is not through: an answer for each open target, and the numbers add up."""

from collections import Counter
from datetime import timedelta

import pytest

from inventory.audit.record import SYSTEM, event, record
from inventory.models import AuditAction
from inventory.sightings import record_sighting
from renewal.board import waiting
from renewal.board.waiting import Waiting
from renewal.campaigns.ladder import Rung
from renewal.channels.recording import RecordingChannel
from renewal.models import Campaign, Channel, Target, TargetState
from tests.factories import NOW, Enrolled, device, enrolled
from tests.renewal.campaigns.test_campaigns import renew
from tests.renewal.rows import ladder_of, running_campaign, tick

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db


def meter(name: str, **changes) -> Enrolled:
    return enrolled(device(name, **{"mqtt_id": name, "phone_number": f"+60123{sum(name.encode()):06}", **changes}))


def refused(target: Enrolled, at) -> None:
    record(
        [
            event(
                AuditAction.RENEWAL_REFUSED,
                now=at,
                actor=SYSTEM,
                object_name="x",
                device=target.device,
                details={"reason": "key_reused"},
            )
        ]
    )


@pytest.fixture
def campaign() -> Campaign:
    """One target for each answer that a silent or clumsy device can give, two that are through, one not asked."""
    everyone = {
        name: meter(name)
        for name in ("renewed", "used", "refused", "refused-before", "acknowledged", "mqtt", "sms", "hook", "unused")
    }
    bare = enrolled(device("bare"))
    short = [meter(name) for name in ("ended", "silent", "later")]
    ladder = ladder_of(Rung(Channel.MQTT, 72 * HOUR, 1, 72 * HOUR), Rung(Channel.SMS, 72 * HOUR, 1, 72 * HOUR))
    refused(everyone["refused-before"], NOW - HOUR)
    campaign = running_campaign(ladder=ladder)
    tick(campaign, NOW, RecordingChannel(), sms=RecordingChannel())
    of = Target.objects.filter
    renew(everyone["renewed"], NOW + HOUR)
    record_sighting(renew(everyone["used"], NOW + HOUR), everyone["used"].device, now=NOW + 2 * HOUR, actor=SYSTEM)
    renew(everyone["unused"], NOW + HOUR)
    refused(everyone["refused"], NOW + HOUR)
    tick(campaign, NOW + 3 * HOUR, RecordingChannel(), sms=RecordingChannel())
    of(device=everyone["acknowledged"].device).update(state=TargetState.ACKNOWLEDGED)
    of(device=everyone["sms"].device).update(asked_over=Channel.SMS)
    of(device=everyone["hook"].device).update(asked_over=Channel.WEBHOOK)
    gone = {"next_step_at": None, "channel": ""}
    of(device=everyone["unused"].device).update(state="escalated", reason="unused", **gone)
    of(device=short[0].device).update(state="failed", reason="expired", **gone)
    of(device=short[1].device).update(state="escalated", reason="no_answer", **gone)
    of(device=short[2].device).update(state="planned", asked_over="")
    assert of(device=bare.device).get().state == TargetState.ESCALATED
    campaign.refresh_from_db()
    return campaign


def test_each_open_target_has_one_answer_and_the_numbers_add_up(campaign, django_assert_num_queries):
    with django_assert_num_queries(1):
        counts = waiting.counts(campaign)
    assert counts == {
        Waiting.NOT_ASKED: 1,
        Waiting.MQTT: 2,
        Waiting.SMS: 1,
        Waiting.WEBHOOK: 1,
        Waiting.ACKNOWLEDGED: 1,
        Waiting.REFUSED: 1,
        Waiting.UNUSED: 1,
        Waiting.NEVER_USED: 1,
        Waiting.NO_ANSWER: 1,
        Waiting.NO_CHANNEL: 1,
        Waiting.MISSED: 1,
    }
    assert sum(counts.values()) == campaign.targets.open().count()


def test_an_answer_names_exactly_the_targets_it_counts(campaign):
    listed = waiting.targets_by_waiting([campaign])
    assert Counter(target.waiting for target in listed) == Counter(waiting.counts(campaign))
    assert listed.get(waiting=Waiting.REFUSED).device.serial == "refused"


def test_a_message_that_never_left_leaves_the_target_where_it_was():
    meter("late")
    ladder = ladder_of(Rung(Channel.MQTT, HOUR, 1, HOUR), Rung(Channel.SMS, HOUR, 1, HOUR))
    campaign = running_campaign(ladder=ladder)
    broken = RecordingChannel(takes=0, detail="gateway down")
    tick(campaign, NOW, broken, sms=broken)
    assert waiting.counts(campaign) == {Waiting.NOT_ASKED: 1}
    tick(campaign, NOW + HOUR, RecordingChannel(), sms=broken)
    tick(campaign, NOW + 2 * HOUR, RecordingChannel(), sms=broken)
    assert waiting.counts(campaign) == {Waiting.MQTT: 1}


def test_a_planned_campaign_waits_for_its_start():
    meter("one")
    campaign = running_campaign()
    Campaign.objects.update(started_at=None)
    campaign.refresh_from_db()
    assert waiting.counts(campaign) == {Waiting.NOT_ASKED: 1}
