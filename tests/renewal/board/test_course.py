"""Forecasts are frozen once a day, never changed, and scored by the facts of the day they were made for."""

from datetime import timedelta

import pytest

from inventory.audit.record import SYSTEM
from inventory.sightings import record_sighting
from renewal import jobs
from renewal.board import course
from renewal.board.course import HORIZONS, Score
from renewal.campaigns import planning
from renewal.channels.recording import RecordingChannel
from renewal.models import CampaignDay, Forecast, TargetMove, TargetState
from tests.factories import DAY, NOW
from tests.renewal.campaigns.test_campaigns import renew
from tests.renewal.rows import meters, planned_campaign, running_campaign, tick

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db


def asked(number: int, **values):
    made = meters(number, **values)
    campaign = running_campaign()
    tick(campaign, NOW, RecordingChannel())
    return made, campaign


def use(meter, at) -> None:
    record_sighting(renew(meter, at), meter.device, now=at, actor=SYSTEM)


def test_a_day_is_written_down_once_with_a_forecast_for_each_horizon():
    _made, campaign = asked(3)
    assert course.freeze(campaign, NOW + HOUR)
    assert not course.freeze(campaign, NOW + 2 * HOUR)
    assert course.freeze(campaign, NOW + DAY)
    day = CampaignDay.objects.earliest("day")
    assert day.targets == dict.fromkeys(TargetState.values, 0) | {"triggered": 3}
    made = Forecast.objects.filter(made_on=day.day)
    assert sorted(made.values_list("horizon_days", flat=True)) == sorted(HORIZONS)
    assert {each.for_at - each.made_at for each in made} == {timedelta(days=days) for days in HORIZONS}
    assert all(each.open_p50 <= each.open_p90 for each in made)


def test_a_campaign_that_is_paused_or_did_not_start_is_not_forecast():
    meters(2)
    campaign = planned_campaign()
    course.freeze(campaign, NOW)
    planning.start(campaign, now=NOW, actor=SYSTEM)
    planning.pause(campaign, now=NOW + HOUR, actor=SYSTEM)
    campaign.refresh_from_db()
    course.freeze(campaign, NOW + DAY)
    assert CampaignDay.objects.count() == 2
    assert not Forecast.objects.exists()


def test_what_came_is_that_of_the_day_itself_however_late_it_is_scored():
    made, campaign = asked(4, expires_in=10 * DAY)
    course.freeze(campaign, NOW + HOUR)
    use(made[0], NOW + 5 * HOUR)
    tick(campaign, NOW + 6 * HOUR, RecordingChannel())
    use(made[1], NOW + 2 * DAY)
    tick(campaign, NOW + 2 * DAY + HOUR, RecordingChannel())
    assert course.score(NOW + HOUR) == 0
    # The portal was down for weeks.
    tick(campaign, NOW + 40 * DAY, RecordingChannel())
    assert course.score(NOW + 40 * DAY) == 3
    came = {each.horizon_days: (each.open_came, each.missed_came) for each in Forecast.objects.all()}
    assert came == {1: (3, 0), 7: (2, 0), 30: (2, 2)}
    assert course.score(NOW + 41 * DAY) == 0


def test_what_was_withdrawn_by_then_is_neither_open_nor_missed():
    _made, campaign = asked(3, expires_in=10 * DAY)
    course.freeze(campaign, NOW + HOUR)
    one, other, _third = campaign.targets.order_by("pk")
    for target, at in ((one, NOW + 12 * HOUR), (other, NOW + 5 * DAY)):
        campaign.targets.filter(pk=target.pk).update(state=TargetState.WITHDRAWN, next_step_at=None)
        TargetMove.objects.create(target=target, at=at, state=TargetState.WITHDRAWN, reason="revoked")
    course.score(NOW + 60 * DAY)
    came = {each.horizon_days: (each.open_came, each.missed_came) for each in Forecast.objects.all()}
    assert came == {1: (2, 0), 7: (1, 0), 30: (1, 1)}


def test_a_forecast_that_a_pause_overtook_is_not_scored():
    _made, campaign = asked(2)
    course.freeze(campaign, NOW + HOUR)
    planning.pause(campaign, now=NOW + 12 * HOUR, actor=SYSTEM)
    assert course.score(NOW + 2 * DAY) == 0
    planning.start(campaign, now=NOW + 3 * DAY, actor=SYSTEM)
    assert course.score(NOW + 40 * DAY) == 0


def test_a_stop_ends_what_can_be_scored():
    _made, campaign = asked(2)
    course.freeze(campaign, NOW + HOUR)
    planning.stop(campaign, now=NOW + 2 * DAY, actor=SYSTEM)
    assert course.score(NOW + 40 * DAY) == 1


def test_the_score_counts_the_days_on_which_the_p90_held():
    _made, campaign = asked(2)
    for number, (expected, came) in enumerate([(5, 4), (5, 5), (5, 6)]):
        Forecast.objects.create(
            campaign=campaign, made_on=NOW.date() + number * DAY, made_at=NOW, for_at=NOW + DAY, horizon_days=1,
            open_p50=1, open_p90=expected, missed_p50=0, missed_p90=0, open_came=came, missed_came=number,
        )  # fmt: skip
    assert course.scores(campaign) == [Score(1, 3, 2, 1)]


def test_the_job_keeps_each_open_campaign_once_a_day():
    asked(2)
    jobs.keep_forecasts()
    jobs.keep_forecasts()
    assert CampaignDay.objects.count() == 1


def test_freezing_takes_as_many_queries_for_thirty_targets_as_for_three(django_assert_num_queries):
    _made, campaign = asked(30)
    # Is there a row of today; standings and waits; days and forecasts, in a transaction.
    with django_assert_num_queries(5 + 2):
        course.freeze(campaign, NOW + HOUR)
