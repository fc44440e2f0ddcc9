"""Of a campaign with many targets a worker reads the board, when somebody looks and the last reading is old."""

from datetime import timedelta

import django_rq
import pytest
from django.core.cache import cache

from renewal.board import snapshot
from renewal.board.snapshot import MOST_READ_AT_ONCE
from tests.factories import DAY, NOW
from tests.renewal.rows import meters, running_campaign

pytestmark = pytest.mark.django_db
MANY = MOST_READ_AT_ONCE + 1


@pytest.fixture
def queue():
    named = django_rq.get_queue("default", commit_mode="auto")
    named.connection.flushdb()
    cache.clear()
    yield named
    named.connection.flushdb()


@pytest.fixture
def campaign():
    meters(2)
    return running_campaign()


def test_a_small_campaign_is_read_at_once(queue, campaign):
    board = snapshot.shown(campaign, 2, NOW)
    assert board is not None
    assert board.findings.total == 2
    assert not queue.get_jobs()


def test_a_large_one_is_asked_for_once_however_many_look(queue, campaign):
    assert snapshot.shown(campaign, MANY, NOW) is None
    assert snapshot.shown(campaign, MANY, NOW) is None
    assert [job.func_name for job in queue.get_jobs()] == ["renewal.jobs.read_board"]


def test_what_was_read_is_shown_and_read_again_when_it_is_old(queue, campaign):
    board = snapshot.read(campaign, NOW)
    snapshot.keep(campaign, board, took=timedelta(minutes=5))
    assert snapshot.shown(campaign, MANY, NOW + timedelta(minutes=249)) == board
    assert not queue.get_jobs()
    # Five minutes are 2 % of 250.
    assert snapshot.shown(campaign, MANY, NOW + timedelta(minutes=250)) == board
    assert len(queue.get_jobs()) == 1


@pytest.mark.parametrize("number", [2, 30])
def test_it_takes_nine_queries_however_many_targets(number, django_assert_num_queries):
    meters(number)
    campaign = running_campaign()
    with django_assert_num_queries(9):
        snapshot.read(campaign, NOW + DAY)
