"""When messages of a campaign may leave, on the clocks of the sites, and how many of them may cost money."""

from datetime import UTC, datetime, time, timedelta

import pytest

from inventory.audit.record import SYSTEM
from inventory.models import Device, Site
from renewal.board import waiting
from renewal.board.waiting import Waiting
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.ladder import Rung
from renewal.campaigns.planning import Plan
from renewal.campaigns.settings import Settings
from renewal.campaigns.windows import opens_at
from renewal.channels.recording import RecordingChannel
from renewal.field import opening
from renewal.models import Attempt, Campaign, Channel, TargetState
from tests.factories import DAY, NOW, fleet
from tests.renewal.campaigns.test_rungs import with_phone
from tests.renewal.rows import ladder_of, meters, over_mqtt, tick

HOUR = timedelta(hours=1)
NIGHT = (time(22), time(5))


def test_a_window_over_midnight_is_closed_by_day_and_says_when_it_opens():
    noon = datetime(2027, 3, 1, 12, tzinfo=UTC)
    assert opens_at(NIGHT, ["UTC", "Asia/Tokyo"], noon) == {
        # In Tokyo it is 21:00.
        "UTC": datetime(2027, 3, 1, 22, tzinfo=UTC),
        "Asia/Tokyo": datetime(2027, 3, 1, 13, tzinfo=UTC),
    }
    assert opens_at(NIGHT, ["UTC", "Asia/Tokyo"], noon + 2 * HOUR) == {"UTC": datetime(2027, 3, 1, 22, tzinfo=UTC)}
    assert opens_at(None, ["UTC"], noon) == {}


def running(*, ladder=None, window=None, sms_budget=None) -> Campaign:
    selection = Selection(fleet(), NOW, NOW + 60 * DAY)
    chosen = Settings(window=window, sms_budget=sms_budget)
    plan = Plan("Spring", selection, NOW + 50 * DAY, ladder or over_mqtt(), chosen)
    campaign = planning.plan(plan, now=NOW, actor=SYSTEM)
    planning.start(campaign, now=NOW, actor=SYSTEM)
    campaign.refresh_from_db()
    return campaign


@pytest.mark.django_db
def test_messages_leave_in_the_window_of_each_site():
    here, there, nowhere = meters(3)
    for meter, zone in ((here, "UTC"), (there, "Asia/Tokyo")):
        site = Site.objects.create(fleet=fleet(), name=zone, time_zone=zone)
        Device.objects.filter(pk=meter.device.pk).update(site=site)
    campaign, channel = running(window=NIGHT), RecordingChannel()
    # NOW is noon in UTC.
    sent: dict[str, int] = {}
    for hour in range(24):
        tick(campaign, NOW + hour * HOUR, channel)
        for message in channel.sent[len(sent) :]:
            sent[message.address] = hour
    assert sent == {
        there.device.mqtt_id: 1, here.device.mqtt_id: 10, nowhere.device.mqtt_id: 10,
    }  # fmt: skip
    assert Attempt.objects.count() == 3


@pytest.mark.django_db
def test_a_site_whose_window_is_closed_holds_up_no_other():
    closed, open_ = (
        Site.objects.create(fleet=fleet(), name="closed"),
        Site(fleet=fleet(), name="open", time_zone="Asia/Tokyo"),
    )
    open_.save()
    everyone = meters(30)
    Device.objects.all().update(site=closed)
    Device.objects.filter(pk=everyone[-1].device.pk).update(site=open_)
    campaign, channel = running(window=NIGHT), RecordingChannel()
    Campaign.objects.filter(pk=campaign.pk).update(triggers_per_minute=1)
    tick(campaign, NOW + 2 * HOUR, channel)
    assert [message.address for message in channel.sent] == [everyone[-1].device.mqtt_id]


MQTT_THEN_SMS = ladder_of(Rung(Channel.MQTT, HOUR, 1, HOUR), Rung(Channel.SMS, HOUR, 2, HOUR))


@pytest.mark.django_db
def test_no_more_sms_leave_than_the_budget_pays_for_and_people_see_to_the_others():
    with_phone(5)
    campaign, mqtt, sms = running(ladder=MQTT_THEN_SMS, sms_budget=3), RecordingChannel(), RecordingChannel()
    for hour in range(6):
        tick(campaign, NOW + hour * HOUR, mqtt, sms=sms)
    campaign.refresh_from_db()
    assert (len(sms.sent), campaign.sms_used, campaign.sms_left) == (3, 3, 0)
    assert Attempt.objects.filter(channel=Channel.SMS).count() == 3
    assert waiting.counts(campaign)[Waiting.NO_BUDGET] == 5
    # None has got all its messages, so none is given up; who was asked over all that is left needs a visit.
    assert campaign.targets.filter(state=TargetState.TRIGGERED, unanswered=True).count() == 5
    assert opening.silent(NOW + 6 * HOUR, 60 * DAY).count() == 5


@pytest.mark.django_db
def test_a_larger_budget_lets_them_go_on_where_they_stood():
    with_phone(2)
    campaign, mqtt, sms = running(ladder=MQTT_THEN_SMS, sms_budget=0), RecordingChannel(), RecordingChannel()
    for hour in range(3):
        tick(campaign, NOW + hour * HOUR, mqtt, sms=sms)
    assert not sms.sent
    Campaign.objects.filter(pk=campaign.pk).update(sms_budget=10)
    for hour in range(3, 8):
        tick(campaign, NOW + hour * HOUR, mqtt, sms=sms)
    campaign.refresh_from_db()
    assert (len(sms.sent), campaign.sms_used) == (4, 4)


@pytest.mark.django_db
def test_an_sms_that_never_left_costs_nothing_of_the_budget():
    with_phone(2)
    campaign, mqtt = running(ladder=MQTT_THEN_SMS, sms_budget=2), RecordingChannel()
    broken = RecordingChannel(takes=0, detail="gateway down")
    for hour in range(3):
        tick(campaign, NOW + hour * HOUR, mqtt, sms=broken)
    campaign.refresh_from_db()
    assert campaign.sms_used == Attempt.objects.filter(channel=Channel.SMS).count() == 0
    working = RecordingChannel()
    for hour in range(3, 6):
        tick(campaign, NOW + hour * HOUR, mqtt, sms=working)
    campaign.refresh_from_db()
    assert (len(working.sent), campaign.sms_used) == (2, 2)
