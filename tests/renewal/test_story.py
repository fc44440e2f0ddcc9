"""What a running campaign says of a device and of all its targets."""

import re
from datetime import timedelta

import pytest

from inventory.admin import cells
from renewal import story
from renewal.campaigns.ticking import tick
from renewal.channels.recording import RecordingChannel
from renewal.models import Campaign, Target
from tests.factories import NOW
from tests.renewal.rows import meters, running_campaign

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign() -> Campaign:
    meters(1)
    return running_campaign(retry_interval=72 * HOUR, max_attempts=2)


def said(target: Target, now=NOW) -> str:
    found = story.outlook(target.device, now)
    assert found is not None
    return re.sub(r"<[^>]+>", "", cells.sentence(found, now))


def test_each_step_of_a_campaign_is_one_sentence(campaign):
    target = campaign.targets.get()
    assert said(target) == "Campaign “Spring” sends the first trigger with one of its next ticks."
    tick(campaign, NOW, RecordingChannel())
    assert said(target) == "Campaign “Spring” sent trigger 1 of 2 and tries again on 2027-03-04, in 3 d."
    assert said(target, NOW + 73 * HOUR) == "Campaign “Spring” sent trigger 1 of 2 and tries again with its next tick."
    tick(campaign, NOW + 73 * HOUR, RecordingChannel())
    assert said(target).startswith("Campaign “Spring” sent its last trigger (2) and gives up on 2027-03-")
    tick(campaign, NOW + 400 * HOUR, RecordingChannel())
    assert said(target) == "Campaign “Spring” gave up: no answer to 2 triggers. A person must look at the device."
