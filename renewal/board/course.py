"""The course of a campaign: its forecast, frozen once a day, and scored when the time has come."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, F, Q

from renewal.board.findings import DAY, Findings, find
from renewal.board.forecast import Forecast as Course
from renewal.board.forecast import asking_rate, forecast
from renewal.models import Campaign, CampaignDay, CampaignState, Forecast, TargetState

# Days ahead.
HORIZONS = (1, 7, 30)
# By the facts as they were at the moment that was forecast, however late this is asked.
_SCORE = """
    WITH due AS (
        SELECT forecast.id, forecast.campaign_id, forecast.for_at
        FROM renewal_forecast forecast JOIN renewal_campaign campaign ON campaign.id = forecast.campaign_id
        WHERE forecast.open_came IS NULL AND forecast.for_at <= %(now)s AND forecast.paused_for = campaign.paused_for
          AND CASE campaign.state WHEN %(paused)s THEN forecast.for_at <= campaign.paused_at
                                  WHEN %(stopped)s THEN forecast.for_at <= campaign.finished_at
                                  ELSE true END
    ), came AS (
        SELECT due.id,
               count(*) FILTER (WHERE target.confirmed_at IS NULL OR target.confirmed_at > due.for_at) AS open,
               count(*) FILTER (WHERE target.ends_at <= due.for_at AND (
                   target.issued_at IS NULL OR target.issued_at > target.ends_at)) AS missed
        FROM due
        JOIN renewal_target target ON target.campaign_id = due.campaign_id
        LEFT JOIN LATERAL (
            SELECT max(move.at) AS at FROM renewal_targetmove move
            WHERE target.state = %(withdrawn)s AND move.target_id = target.id AND move.state = %(withdrawn)s
        ) withdrawal ON true
        WHERE target.state <> %(withdrawn)s OR withdrawal.at > due.for_at
        GROUP BY due.id
    )
    UPDATE renewal_forecast forecast
    SET open_came = coalesce(came.open, 0), missed_came = coalesce(came.missed, 0)
    FROM due LEFT JOIN came USING (id) WHERE forecast.id = due.id"""


def course(campaign: Campaign, findings: Findings) -> Course:
    """Return how a campaign goes on from what was found."""
    started = campaign.started_at or findings.at
    rate = asking_rate(
        findings,
        a_minute=campaign.triggers_per_minute,
        running=campaign.state == CampaignState.RUNNING,
        started_days_ago=(findings.at - started) / DAY,
    )
    # One seed for each campaign: who looks again sees the same courses, and only what has happened moves them.
    return forecast(findings, asks_a_day=rate, horizons=HORIZONS, seed=campaign.pk)


def freeze(campaign: Campaign, now: datetime) -> bool:
    """Write down how a campaign stands today and, while it runs, what is expected. Return False if that was done.

    Two queries that read its targets, and one for each kind of row.
    """
    today = now.astimezone(UTC).date()
    if CampaignDay.objects.filter(campaign=campaign, day=today).exists():
        return False
    findings = find(campaign, now)
    rows = []
    if campaign.state == CampaignState.RUNNING:
        expected = course(campaign, findings)
        for days in HORIZONS:
            point = expected.at(days)
            rows.append(
                Forecast(
                    campaign=campaign,
                    made_on=today,
                    made_at=now,
                    horizon_days=days,
                    for_at=now + timedelta(days=days),
                    paused_for=campaign.paused_for,
                    open_p50=point.open.p50,
                    open_p90=point.open.p90,
                    missed_p50=point.missed.p50,
                    missed_p90=point.missed.p90,
                )
            )
    targets = {state.value: count for state, count in findings.by_state().items()}
    with transaction.atomic():
        # Of two jobs at the same time, the first one's rows stay: a forecast is never changed.
        CampaignDay.objects.bulk_create(
            [CampaignDay(campaign=campaign, day=today, at=now, targets=targets)], ignore_conflicts=True
        )
        Forecast.objects.bulk_create(rows, ignore_conflicts=True)
    return True


def score(now: datetime) -> int:
    """Write what came beside each forecast whose time has come; return how many. One statement.

    Forecasts that a pause or a stop overtook are left alone: they are of another course.
    """
    words: dict[str, Any] = {
        "now": now,
        "paused": CampaignState.PAUSED.value,
        "stopped": CampaignState.STOPPED.value,
        "withdrawn": TargetState.WITHDRAWN.value,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SCORE, words)
        return int(cursor.rowcount)


@dataclass(frozen=True)
class Score:
    """Of the `scored` forecasts so many days ahead, in how many the P90 held: it came to no more than that."""

    horizon_days: int
    scored: int
    open_held: int
    missed_held: int


def scores(campaign: Campaign) -> list[Score]:
    """Return how well a campaign was forecast, by horizon. One query."""
    rows = (
        Forecast.objects.filter(campaign=campaign, open_came__isnull=False)
        .order_by("horizon_days")
        .values_list("horizon_days")
        .annotate(
            scored=Count("pk"),
            open_held=Count("pk", filter=Q(open_came__lte=F("open_p90"))),
            missed_held=Count("pk", filter=Q(missed_came__lte=F("missed_p90"))),
        )
    )
    return [Score(*row) for row in rows]


def past(campaign: Campaign) -> list[tuple[datetime, dict[TargetState, int]]]:
    """Return how a campaign stood on each day that was written down. One query."""
    days = CampaignDay.objects.filter(campaign=campaign).order_by("day").values_list("at", "targets")
    return [(at, {state: targets.get(state.value, 0) for state in TargetState}) for at, targets in days]
