"""What each message yields: a renewal belongs to the last message before it, and none is counted twice or lost."""

from datetime import timedelta
from decimal import Decimal

import pytest

from inventory.audit.record import SYSTEM
from inventory.sightings import record_sighting
from renewal.board import step_yield
from renewal.board.step_yield import Stage, Step, yields
from renewal.campaigns.ladder import Rung
from renewal.channels.recording import RecordingChannel
from renewal.models import Attempt, AttemptOutcome, Campaign, Channel, Driver, Target
from tests.factories import DAY, NOW, Enrolled, device, enrolled
from tests.renewal.campaigns.test_campaigns import renew
from tests.renewal.channels.gateways import gateway
from tests.renewal.rows import ladder_of, running_campaign, tick

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db
LADDER = ladder_of(Rung(Channel.MQTT, DAY, 2, DAY), Rung(Channel.SMS, DAY, 2, DAY))
FIRST, SECOND, SMS = Step(0, Channel.MQTT, 1), Step(0, Channel.MQTT, 2), Step(1, Channel.SMS, 1)


def meter(name: str) -> Enrolled:
    return enrolled(device(name, mqtt_id=name, phone_number=f"+60123{sum(name.encode()):06}"))


@pytest.fixture
def campaign() -> Campaign:
    """Five devices: renewed before it was asked, after the first message, the second, the SMS, and never."""
    made = {name: meter(name) for name in ("early", "first", "second", "sms", "never")}
    campaign = running_campaign(ladder=LADDER)
    renew(made["early"], NOW)
    channel = RecordingChannel()

    def climb(at) -> None:
        tick(campaign, at, channel, sms=channel)

    climb(NOW + HOUR)
    Attempt.objects.filter(target__device__serial="never").update(outcome=AttemptOutcome.DELIVERED)
    used = renew(made["first"], NOW + 5 * HOUR)
    record_sighting(used, made["first"].device, now=NOW + 6 * HOUR, actor=SYSTEM)
    for day in range(1, 20):
        climb(NOW + day * DAY + HOUR)
        for name, step in (("second", SECOND), ("sms", SMS)):
            attempts = Attempt.objects.filter(target__device__serial=name, channel=step.channel)
            target = Target.objects.get(device__serial=name)
            if target.issued_at is None and attempts.filter(rung_attempt=step.attempt).exists():
                renew(made[name], NOW + day * DAY + 2 * HOUR)
        if Attempt.objects.filter(target__device__serial="sms", target__issued_at__isnull=False).exists():
            break
    climb(NOW + (day + 1) * DAY)
    return campaign


def test_a_renewal_belongs_to_the_last_message_before_it(campaign):
    found = {each.step: each for each in yields(campaign).steps}
    renewed = {step: each.renewed for step, each in found.items() if each.renewed}
    assert renewed == {FIRST: 1, SECOND: 1, SMS: 1}
    assert found[FIRST].sent == 4
    assert found[SECOND].sent == 3
    # The receipt of the one, and the renewal of the other.
    assert found[FIRST].reached == 2


def test_the_renewals_add_up_to_all_that_there_are(campaign):
    found = yields(campaign)
    assert (
        sum(each.renewed for each in found.steps) + found.unasked
        == campaign.targets.filter(issued_at__isnull=False).count()
    )
    assert found.unasked == 1


def test_each_step_tells_what_it_and_a_renewal_by_it_cost(campaign):
    def priced(cost: str, name: str, **serves) -> None:
        gateway(Driver.CONSOLE, name=name, cost=Decimal(cost), **serves)

    priced("9", "of all fleets", fleet=None)
    priced("0.07", "of this fleet", fleet=campaign.fleet)
    priced("5", "switched off", fleet=campaign.fleet, enabled=False)
    found = {each.step: each for each in yields(campaign).steps}
    assert found[FIRST].cost == 0
    assert found[SMS].cost == found[SMS].sent * Decimal("0.07")
    assert found[SMS].cost_of_a_renewal == found[SMS].cost
    assert {step for step, each in found.items() if each.cost_of_a_renewal is None} == {
        step for step, each in found.items() if not each.renewed
    }
    # A fourth SMS reminded a device of what it had fetched already.
    assert Attempt.objects.filter(channel=Channel.SMS).count() == 4
    assert yields(campaign).cost == 3 * Decimal("0.07")


def test_each_number_names_exactly_the_targets_it_counts(campaign):
    found = yields(campaign)
    for each in found.steps:
        counted = {Stage.SENT: each.sent, Stage.REACHED: each.reached, Stage.RENEWED: each.renewed}
        for stage, number in counted.items():
            assert step_yield.targets_of(campaign, each.step, stage).count() == number
    assert [target.device.serial for target in step_yield.targets_unasked(campaign)] == ["early"]
    for used, number in ((False, found.reminded), (True, found.used)):
        assert step_yield.targets_reminded(campaign, used=used).count() == number


def test_reminders_of_a_new_certificate_ask_for_no_renewal(campaign):
    found = yields(campaign)
    assert found.reminded >= 1
    assert sum(each.sent for each in found.steps) < Attempt.objects.count()


def test_what_the_next_hop_refused_was_not_sent():
    meter("refused")
    campaign = running_campaign(ladder=LADDER)
    tick(campaign, NOW, RecordingChannel(), sms=RecordingChannel())
    Attempt.objects.update(outcome=AttemptOutcome.REFUSED)
    assert yields(campaign).steps == []


def test_it_takes_two_queries(campaign, django_assert_num_queries):
    with django_assert_num_queries(2):
        yields(campaign)


@pytest.mark.parametrize("text", ["", "0", "0-mqtt", "0-mqtt-x", "0-post-1", "99999-mqtt-1", "²-mqtt-1"])
def test_what_is_no_step_is_read_as_none(text):
    assert Step.read(text) is None


def test_a_step_is_read_as_it_is_written():
    assert Step.read(str(SMS)) == SMS
