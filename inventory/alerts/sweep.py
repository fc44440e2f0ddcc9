"""The sweep: finds certificates that reached a threshold, and alerts to resolve, escalate or repeat. Set-based.

A sweep is a run. Every alert that fires carries its run; the digests of a run are written, and the run is finished, in
one transaction. A sweep that dies in between leaves an unfinished run, which the next one goes on with: what fired
before is told late, once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from inventory import session_locks
from inventory.alerts import digest, infrastructure, unexpected_sightings
from inventory.alerts.conditions import report
from inventory.alerts.escalation import fires_before
from inventory.alerts.policies import escalation_steps_in_force
from inventory.alerts.settling import NEWER, RESOLUTION
from inventory.models import AlertKind, AlertPolicy, AlertRun, AppliesTo

BATCH = 20_000
# The first eight bytes of names, as PostgreSQL's advisory locks have numbers: of any sweep, and of those of everything.
_ANY, _WHOLE = int.from_bytes(b"alertrun"), int.from_bytes(b"alertall")


@dataclass(frozen=True)
class Swept:
    """What a sweep did."""

    raised: int = 0
    told_again: int = 0
    resolved: int = 0
    digests: int = 0


def sweep(now: datetime, *, batch: int = BATCH) -> Swept | None:
    """Update all alerts to `now` and write the digests. Return None if another sweep is running.

    One of the portal's own is waited for: it begins each time that this one does, and is over at once. The portal's own
    come first. A fixed number of statements, and one for each `batch` of rows looked at.
    """

    def devices(run: AlertRun) -> Swept:
        resolved, told = _step_devices(run, now, batch)
        raised = _raise(run, now, batch)
        if raised >= batch:
            _measure_again()
        return Swept(raised, told, resolved)

    with session_locks.held(_WHOLE) as first:
        if not first:
            return None
        with session_locks.held(_ANY, wait=True):
            return _sweep(now, devices)


def sweep_own(now: datetime) -> Swept | None:
    """Do the same for the portal's own only. It costs a handful of statements, whatever the size of the fleet."""
    with session_locks.held(_ANY) as alone:
        return _sweep(now, lambda _run: Swept()) if alone else None


def _sweep(now: datetime, devices: Callable[[AlertRun], Swept]) -> Swept:
    report(
        [*infrastructure.KINDS, AlertKind.UNEXPECTED_SIGHTING],
        [*infrastructure.concerns(now), *unexpected_sightings.concerns(now)],
        now,
    )
    run, _created = AlertRun.objects.get_or_create(finished_at=None, defaults={"started_at": now})
    told = _step_own(run, now)
    done = devices(run)
    return replace(done, told_again=done.told_again + told, digests=digest.write(run, now))


# What follows for an alert `a` from its step of the policy: its level, or null when nothing is due. `quiet` tells
# whether it is muted, `heard` since when silence counts.
_STEP = """
    CASE WHEN a.acknowledged_at IS NOT NULL OR mute.quiet OR policy_step.level IS NULL THEN NULL
         WHEN a.notified_at IS NULL THEN a.level
         WHEN greatest(a.level_since, mute.heard) <= policy_step.raise_if_since THEN policy_step.next_level
         WHEN a.notified_at <= policy_step.repeat_if_told THEN policy_step.level
    END
"""
# An alert above the last level, as when levels were taken away, stands on the last.
_POLICY_STEP = """
    LEFT JOIN policy_step
      ON policy_step.policy_id = a.policy_id AND policy_step.level = least(a.level, policy_step.last_level)
"""
_ESCALATION_STEPS = """
    policy_step AS (
        SELECT *, max(level) OVER (PARTITION BY policy_id) AS last_level
        FROM unnest(%(policies)s::bigint[], %(levels)s::int[], %(next_levels)s::int[],
                    %(raise_if_since)s::timestamptz[], %(repeat_if_told)s::timestamptz[])
             AS given(policy_id, level, next_level, raise_if_since, repeat_if_told)
    )
"""
_TELL = """
    UPDATE inventory_alert SET
        level_since = CASE WHEN inventory_alert.level = due.step AND notified_at IS NOT NULL
                           THEN level_since ELSE %(now)s END,
        level = due.step, notified_at = %(now)s, run_id = %(run)s
    FROM due
    WHERE inventory_alert.id = due.id AND due.step IS NOT NULL AND resolved_at IS NULL AND acknowledged_at IS NULL
"""

_STEP_OWN = f"""
    WITH {_ESCALATION_STEPS}, due AS (
        SELECT a.id, {_STEP} AS step
        FROM inventory_alert a
        {_POLICY_STEP}
        CROSS JOIN LATERAL (
            SELECT bool_or(until > %(now)s) IS TRUE AS quiet, max(until) FILTER (WHERE until <= %(now)s) AS heard
            FROM inventory_mute WHERE about = a.about OR certificate_id = a.certificate_id
        ) mute
        WHERE a.resolved_at IS NULL AND a.urgency = 0
    )
    {_TELL}
"""  # noqa: S608 - made of our own constants

_STEP_DEVICES = f"""
    WITH {_ESCALATION_STEPS}, batch AS MATERIALIZED (
        SELECT id, certificate_id, policy_id, ends_at, level, level_since, notified_at, acknowledged_at
        FROM inventory_alert
        WHERE resolved_at IS NULL AND urgency = 1 AND (ends_at, id) > (%(after)s, %(after_id)s)
        ORDER BY ends_at, id LIMIT %(limit)s
    ),
    muted_certificate AS MATERIALIZED (
        SELECT certificate_id, bool_or(until > %(now)s) AS quiet, max(until) FILTER (WHERE until <= %(now)s) AS heard
        FROM inventory_mute WHERE certificate_id IS NOT NULL GROUP BY certificate_id
    ),
    muted_fleet AS MATERIALIZED (
        SELECT fleet_id, bool_or(until > %(now)s) AS quiet, max(until) FILTER (WHERE until <= %(now)s) AS heard
        FROM inventory_mute WHERE fleet_id IS NOT NULL GROUP BY fleet_id
    ),
    due AS MATERIALIZED (
        SELECT a.id,
            {RESOLUTION} AS resolution,
            {_STEP} AS step
        FROM batch a
        JOIN inventory_certificate c ON c.id = a.certificate_id
        JOIN inventory_device d ON d.id = c.device_id
        {_POLICY_STEP}
        LEFT JOIN muted_certificate mc ON mc.certificate_id = a.certificate_id
        LEFT JOIN muted_fleet mf ON mf.fleet_id = d.fleet_id
        CROSS JOIN LATERAL (
            SELECT coalesce(mc.quiet, false) OR coalesce(mf.quiet, false) AS quiet,
                   greatest(mc.heard, mf.heard) AS heard
        ) mute
    ),
    resolved AS (
        UPDATE inventory_alert SET resolved_at = %(now)s, resolution = due.resolution
        FROM due WHERE inventory_alert.id = due.id AND due.resolution IS NOT NULL AND resolved_at IS NULL
        RETURNING 1
    ),
    told AS ({_TELL} AND due.resolution IS NULL RETURNING 1)
    SELECT (SELECT count(*) FROM resolved), (SELECT count(*) FROM told), ends_at, id
    FROM batch ORDER BY ends_at DESC, id DESC LIMIT 1
"""  # noqa: S608 - made of our own constants

# Each certificate of the batch with the policy that fits it most narrowly and every threshold that it has reached.
# A threshold that fired before is left alone, unless it ended for a reason that has passed: a renewal that was revoked,
# a device that came back. The nearest threshold is the one that goes on; the others fire with it and are taken over.
_RAISE = f"""
    WITH batch AS MATERIALIZED (
        SELECT id, device_id, profile_id, issued_at, not_after FROM inventory_certificate
        WHERE purpose = 'device' AND state IN ('issued', 'confirmed')
          AND (not_after, id) > (%(after)s, %(after_id)s) AND not_after < %(widest)s
        ORDER BY not_after, id LIMIT %(limit)s
    ),
    reached AS MATERIALIZED (
        SELECT c.id, c.not_after, policy.id AS policy_id, threshold.days,
               threshold.days > min(threshold.days) OVER (PARTITION BY c.id) AS tightened,
               d.fleet_id IN (SELECT fleet_id FROM inventory_mute WHERE fleet_id IS NOT NULL AND until > %(now)s)
               OR c.id IN (SELECT certificate_id FROM inventory_mute
                           WHERE certificate_id IS NOT NULL AND until > %(now)s) AS quiet
        FROM batch c
        JOIN inventory_device d ON d.id = c.device_id
        CROSS JOIN LATERAL (
            SELECT id, thresholds FROM inventory_alertpolicy
            WHERE applies_to = d.connectivity AND enabled
              AND (fleet_id IS NULL OR fleet_id = d.fleet_id) AND (profile_id IS NULL OR profile_id = c.profile_id)
            ORDER BY fleet_id IS NULL, profile_id IS NULL LIMIT 1
        ) policy
        CROSS JOIN LATERAL unnest(policy.thresholds) AS threshold(days)
        WHERE d.status = 'in_service' AND c.not_after < %(tomorrow)s + threshold.days * interval '1 day'
          AND NOT EXISTS ({NEWER})
    ),
    seen AS MATERIALIZED (
        SELECT r.*, known.id AS alert_id, known.resolved_at, known.resolution
        FROM reached r
        -- LIMIT keeps it a look into the index: joined with the whole table, batches would grow with what was raised.
        LEFT JOIN LATERAL (
            SELECT id, resolved_at, resolution FROM inventory_alert
            WHERE certificate_id = r.id AND threshold = r.days AND urgency = 1 LIMIT 1
        ) known ON true
    ),
    raised AS (
        INSERT INTO inventory_alert (kind, urgency, about, certificate_id, policy_id, threshold, ends_at, raised_at,
                                     level, level_since, notified_at, run_id, acknowledged_by, note,
                                     resolved_at, resolution)
        SELECT 'device_expiry', 1, '', id, policy_id, days, not_after, %(now)s,
               1, %(now)s, CASE WHEN NOT quiet THEN %(now)s END, CASE WHEN NOT quiet THEN %(run)s END, '', '',
               CASE WHEN tightened THEN %(now)s END, CASE WHEN tightened THEN 'tightened' ELSE '' END
        FROM seen WHERE alert_id IS NULL
        ON CONFLICT (certificate_id, threshold) WHERE urgency = 1 DO NOTHING
        RETURNING 1
    ),
    reopened AS (
        UPDATE inventory_alert SET
            resolved_at = NULL, resolution = '', acknowledged_at = NULL, acknowledged_by = '', note = '',
            level = 1, level_since = %(now)s,
            notified_at = CASE WHEN NOT quiet THEN %(now)s END, run_id = CASE WHEN NOT quiet THEN %(run)s END
        FROM seen
        WHERE inventory_alert.id = seen.alert_id
          AND seen.resolution IN ('renewed', 'out_of_service') AND NOT seen.tightened
        RETURNING 1
    ),
    taken_over AS (
        UPDATE inventory_alert SET resolved_at = %(now)s, resolution = 'tightened'
        WHERE id = ANY (ARRAY(
            SELECT alert_id FROM seen WHERE tightened AND alert_id IS NOT NULL AND resolved_at IS NULL
        ))
    )
    SELECT (SELECT count(*) FROM raised) + (SELECT count(*) FROM reopened), not_after, id
    FROM batch ORDER BY not_after DESC, id DESC LIMIT 1
"""  # noqa: S608 - made of our own constants


def _rungs(now: datetime) -> dict[str, Any]:
    rows = [(policy, step) for policy, found in escalation_steps_in_force(now).items() for step in found]
    return {
        "policies": [policy for policy, _rung in rows],
        "levels": [step.level for _policy, step in rows],
        "next_levels": [step.next_level for _policy, step in rows],
        "raise_if_since": [step.raise_if_since for _policy, step in rows],
        "repeat_if_told": [step.repeat_if_told for _policy, step in rows],
    }


def _step_own(run: AlertRun, now: datetime) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_STEP_OWN, {**_rungs(now), "now": now, "run": run.pk})
        return int(cursor.rowcount)


def _step_devices(run: AlertRun, now: datetime, batch: int) -> tuple[int, int]:
    """Resolve, raise a level or repeat, batch by batch in the order of their ends. Return how many of which."""
    given = {**_rungs(now), "now": now, "run": run.pk}
    resolved, told = 0, 0
    for row in _batches(_STEP_DEVICES, given, batch):
        resolved, told = resolved + row[0], told + row[1]
    return resolved, told


def _raise(run: AlertRun, now: datetime, batch: int) -> int:
    """Raise an alert for each threshold reached, batch by batch in the order of the certificates' ends."""
    policies = AlertPolicy.objects.filter(enabled=True).exclude(applies_to=AppliesTo.PORTAL)
    thresholds = [days for listed in policies.values_list("thresholds", flat=True) for days in listed]
    if not thresholds:
        return 0
    given = {
        "now": now,
        "run": run.pk,
        "tomorrow": fires_before(0, now),
        "widest": fires_before(max(thresholds), now),
    }
    return sum(row[0] for row in _batches(_RAISE, given, batch))


def _measure_again() -> None:
    """Let PostgreSQL know at once how large the table has become: the next statements join with it."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE inventory_alert")


def _batches(statement: str, given: dict[str, Any], batch: int) -> Iterator[tuple[int, ...]]:
    """Run a statement that works from a position on, one transaction a batch, until nothing is left."""
    after: Any = "-infinity"
    after_id = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, {**given, "after": after, "after_id": after_id, "limit": batch})
            row = cursor.fetchone()
        if row is None:
            return
        *counts, after, after_id = row
        yield tuple(counts)
