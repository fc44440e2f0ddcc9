"""What a running campaign says of a device and of all its targets."""

import re
from datetime import timedelta

import pytest

from inventory.admin import cells
from inventory.audit.record import SYSTEM
from inventory.models import Certificate, Device
from inventory.sightings import record_sighting
from inventory.x509.csr import parse
from renewal import enrolling, story
from renewal.channels.messages import Fate
from renewal.channels.recording import RecordingChannel
from renewal.models import Campaign, Target
from tests.factories import NOW
from tests.renewal.rows import meters, over_mqtt, running_campaign, tick

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign() -> Campaign:
    meters(1)
    return running_campaign(ladder=over_mqtt(72 * HOUR, 2))


def said(target: Target, now=NOW) -> str:
    found = story.outlook(target.device, now)
    assert found is not None
    return re.sub(r"<[^>]+>", "", cells.sentence(found, now))


def test_each_step_of_a_campaign_is_one_sentence(campaign):
    target = campaign.targets.get()
    assert said(target) == "Campaign “Spring” sends the first trigger with one of its next ticks."
    tick(campaign, NOW, RecordingChannel())
    assert said(target) == "Campaign “Spring” sent 1 trigger so far and asks again over MQTT on 2027-03-04, in 3 d."
    assert (
        said(target, NOW + 73 * HOUR) == "Campaign “Spring” sent 1 trigger so far and asks again over MQTT next tick."
    )
    tick(campaign, NOW + 73 * HOUR, RecordingChannel())
    assert said(target).startswith("Campaign “Spring” sent its last trigger (2) and gives up on 2027-03-")
    tick(campaign, NOW + 400 * HOUR, RecordingChannel())
    assert said(target) == "Campaign “Spring” gave up: no answer to 2 triggers. A person must look at the device."


def told(campaign: Campaign, most: int = 12) -> list[tuple[str, str, str]]:
    return [(device.serial, moment.title, moment.why) for device, moment in story.latest(campaign, most)]


def test_the_latest_of_a_campaign_are_its_triggers_and_what_came_of_them(django_assert_num_queries):
    first, _second, third = meters(3)
    Device.objects.filter(pk=third.device.pk).update(mqtt_id="")
    campaign = running_campaign(ladder=over_mqtt(HOUR))
    tick(campaign, NOW, RecordingChannel(takes=0, fate=Fate.IN_DOUBT, detail="connection lost"))
    renewed = enrolling.renew(
        first.der, parse(first.renewal_request()), label=None, now=NOW + HOUR, source_address=None
    )
    assert isinstance(renewed, Certificate)
    tick(campaign, NOW + HOUR, RecordingChannel())
    record_sighting(renewed, first.device, now=NOW + 2 * HOUR, actor=SYSTEM)
    tick(campaign, NOW + 2 * HOUR, RecordingChannel())
    with django_assert_num_queries(2):
        latest = told(campaign)
    assert latest[0] == ("M0000", "confirmed", "")
    assert sorted(latest[1:]) == [
        ("M0000", "issued", ""),
        ("M0000", "trigger 1 over MQTT", "in doubt, connection lost"),
        ("M0001", "trigger 1 over MQTT", "in doubt, connection lost"),
        ("M0001", "trigger 2 over MQTT", "accepted"),
        ("M0002", "escalated", "it has neither an MQTT id nor a phone number"),
    ]
    assert told(campaign, 1) == latest[:1]
