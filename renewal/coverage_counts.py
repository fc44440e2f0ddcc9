"""Coverage in numbers: how much of what ends on a day is renewed, in a campaign, planned by nobody, or expired.

Whether a certificate is covered depends on others of its device and on targets of campaigns, so no delta can say it.
A job counts it, set-based, when somebody looks and the last count is old; readers take all else from the counters and
are as quick whatever a campaign holds.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import Sum

from inventory.counters import reading
from inventory.expiry.cliffs import start_of
from inventory.job_claims import Claim
from inventory.models import Certificate, FleetIds
from renewal.coverage import Coverage
from renewal.models import CoverageCount
from renewal.models.campaign import OPEN_STATES, UNFINISHED_STATES

# The first eight bytes of "coverage", as PostgreSQL's advisory locks have numbers for names.
_LOCK = int.from_bytes(b"coverage")
# A count reads every standing certificate: 2 s at 2.2 million. Lost, this only lets it be counted once more.
_LAST_COUNT_KEY = "certportal:coverage-counted"
_OLD_AFTER = timedelta(seconds=30)
_SHARE_OF_TIME = 0.02
_JOB = Claim("default", "count coverage")
_FAILURES_KEPT_SECONDS = 3600
_COUNT = """
    WITH doubled AS MATERIALIZED (
        SELECT device_id FROM inventory_certificate
        WHERE state IN ('issued', 'confirmed') AND device_id IS NOT NULL
        GROUP BY 1 HAVING count(*) > 1
    ), renewed AS MATERIALIZED (
        SELECT id, device_id, not_after FROM (
            SELECT id, device_id, not_after,
                   row_number() OVER (PARTITION BY device_id ORDER BY issued_at DESC, id DESC) AS place
            FROM doubled JOIN inventory_certificate USING (device_id)
            WHERE state IN ('issued', 'confirmed')
        ) standing
        WHERE place > 1
    ), in_campaign AS (
        SELECT DISTINCT certificate.id, certificate.device_id, certificate.not_after
        FROM renewal_campaign campaign
        JOIN renewal_target target ON target.campaign_id = campaign.id
        JOIN inventory_certificate certificate ON certificate.id = target.certificate_id
        WHERE campaign.state = ANY(%(unfinished)s) AND target.state = ANY(%(open)s)
          AND certificate.state IN ('issued', 'confirmed') AND certificate.not_after >= %(now)s
          AND certificate.id NOT IN (SELECT id FROM renewed)
    )
    INSERT INTO renewal_coveragecount (fleet_id, day, renewed, renewed_ended, in_campaign, counted_at)
    SELECT fleet_id, (not_after AT TIME ZONE 'UTC')::date,
           count(*) FILTER (WHERE is_renewed AND not_after >= %(now)s),
           count(*) FILTER (WHERE is_renewed AND not_after < %(now)s),
           count(*) FILTER (WHERE NOT is_renewed), %(now)s
    FROM (
        SELECT device_id, not_after, true AS is_renewed FROM renewed
        UNION ALL
        SELECT device_id, not_after, false FROM in_campaign
    ) covered
    JOIN inventory_device ON inventory_device.id = device_id
    GROUP BY 1, 2"""


def count_anew(now: datetime) -> bool:
    """Recompute all rows of CoverageCount as of `now`. Three statements.

    Return False, having done nothing, if another process is counting.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if cursor.fetchone() != (True,):
            return False
        CoverageCount.objects.all().delete()
        cursor.execute(
            _COUNT,
            {
                "now": now,
                "open": [state.value for state in OPEN_STATES],
                "unfinished": [state.value for state in UNFINISHED_STATES],
            },
        )
    return True


def begin_count() -> None:
    """Release the claim, so that the next request makes a new job. The job calls it before it counts."""
    _JOB.begin()


def note_count(at: datetime, took: timedelta) -> None:
    """Store when it was last counted and how long that took: these decide when the next count is due."""
    cache.set(_LAST_COUNT_KEY, at + max(_OLD_AFTER, took / _SHARE_OF_TIME), timeout=None)


def ask_for_count() -> None:
    """Enqueue a count now, as after planning a campaign."""
    _JOB.enqueue("renewal.jobs.count_coverage", failure_ttl=_FAILURES_KEPT_SECONDS)


def ask_if_old(now: datetime) -> None:
    """Enqueue a count if the last is older than 30 s, or than fifty times its duration: 2 % of the time at most.

    Who shows the numbers asks, so that nothing is counted while nobody looks.
    """
    old_at = cache.get(_LAST_COUNT_KEY)
    if old_at is None or now >= old_at:
        ask_for_count()


@dataclass(frozen=True)
class _Counted:
    renewed: int = 0
    renewed_ended: int = 0
    in_campaign: int = 0


def by_day(start: date, end: date, now: datetime, *, fleets: FleetIds = None) -> dict[date, dict[Coverage, int]]:
    """Return the coverage of what ends on each day of `start <= day < end`. Three queries.

    The sum of a day is exact at any time; how it divides is as of the last `count_anew`.
    """
    today = now.astimezone(UTC).date()
    counted = _counted(start, end, fleets)
    ended_today = _ended_today(today, now, fleets) if start <= today < end else 0
    found = {}
    for day, numbers in reading.by_day(start, end, fleets=fleets).items():
        ended = numbers.standing if day < today else ended_today if day == today else 0
        found[day] = _divided(numbers, ended, counted.get(day, _Counted()))
    return found


def expired(standing_and_ended: int, *, fleets: FleetIds = None) -> int:
    """Return how many of the ended certificates that devices stand on are not renewed. One query."""
    rows = CoverageCount.objects.filter(**_of_fleets(fleets)).aggregate(renewed=Sum("renewed_ended"))
    return max(standing_and_ended - (rows["renewed"] or 0), 0)


def _divided(numbers: reading.Day, ended: int, counted: _Counted) -> dict[Coverage, int]:
    lapsed = max(ended - counted.renewed_ended, 0)
    renewed = min(counted.renewed + counted.renewed_ended, numbers.standing)
    in_campaign = min(counted.in_campaign, max(numbers.standing - renewed - lapsed, 0))
    parts = {
        Coverage.RENEWED: numbers.superseded + renewed,
        Coverage.EXPIRED: lapsed,
        Coverage.IN_CAMPAIGN: in_campaign,
        Coverage.UNPLANNED: max(numbers.standing - renewed - lapsed - in_campaign, 0),
    }
    return {part: count for part, count in parts.items() if count}


def _counted(start: date, end: date, fleets: FleetIds) -> dict[date, _Counted]:
    rows = (
        CoverageCount.objects.filter(day__gte=start, day__lt=end, **_of_fleets(fleets))
        .order_by()
        .values_list("day")
        .annotate(Sum("renewed"), Sum("renewed_ended"), Sum("in_campaign"))
    )
    return {day: _Counted(*counts) for day, *counts in rows}


def _ended_today(today: date, now: datetime, fleets: FleetIds) -> int:
    return Certificate.objects.of_fleets(fleets).of_devices().expiring_between(start_of(today), now).count()


def _of_fleets(fleets: FleetIds) -> dict[str, Any]:
    return {} if fleets is None else {"fleet_id__in": fleets}
