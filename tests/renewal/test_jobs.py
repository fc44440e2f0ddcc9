"""Campaigns are ticked by jobs of their own, through the real queue; what a crash leaves there bars nobody."""

import django_rq
import pytest

from inventory.audit.record import SYSTEM
from renewal import jobs
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.planning import Plan
from renewal.models import Attempt, Campaign
from tests.factories import DAY, NOW, device, enrolled, fleet

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue():
    named = django_rq.get_queue("default", commit_mode="auto")
    named.connection.flushdb()
    yield named
    named.connection.flushdb()


def running(serial: str, slug: str = "demo") -> Campaign:
    enrolled(device(serial, fleet=fleet(slug), mqtt_id=serial), expires_in=30 * DAY)
    selection = Selection(fleet(slug), NOW, NOW + 60 * DAY)
    campaign = planning.plan(Plan(serial, selection, NOW + 50 * DAY), now=NOW, actor=SYSTEM)
    planning.start(campaign, now=NOW, actor=SYSTEM)
    return campaign


def test_each_open_campaign_has_one_job_waiting_however_often_it_is_asked_for(queue):
    first, second = running("A1", "a"), running("B1", "b")
    for _ in range(3):
        jobs.tick_campaigns()
    assert [job.args for job in queue.get_jobs()] == [[first.pk], [second.pk]]


def test_a_job_that_failed_or_was_killed_does_not_bar_the_next(queue):
    campaign = running("A1")
    jobs.tick_campaigns()
    [killed] = queue.get_jobs()
    queue.pop_job_id()
    jobs._claim(campaign.pk).begin()
    jobs.tick_campaigns()
    assert [job.args for job in queue.get_jobs()] == [[campaign.pk]]
    assert killed.id not in queue.get_job_ids()


def test_a_tick_of_a_campaign_that_has_ended_does_nothing(queue):
    campaign = running("A1")
    planning.finish(campaign, now=NOW, actor=SYSTEM)
    jobs.tick_campaign(campaign.pk)
    assert not Attempt.objects.exists()
