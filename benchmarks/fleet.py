"""A fleet of the size the portal is made for: 2.2 million devices, three certificates each, their log and campaigns.

Made once, by a few statements, in a home that is kept; every later run finds it there. A DER is that of a real
certificate but for its last 32 octets, so pages can read it and none equals another.
"""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
from django.conf import settings
from django.db import transaction
from psycopg import sql

from benchmarks import portal
from benchmarks.measuring import Size
from inventory.counters import checking, folding
from inventory.issuing.certificates import issue
from inventory.models import Authority, Batch, Device, Fleet, Profile, Site
from renewal import coverage_counts, target_counts
from renewal.campaigns.ladder import DEFAULT

DEVICES = {Size.SMALL: 20_000, Size.FULL: 2_200_000}
# What the pages of the large one are held against.
OF_A_NEWCOMER = 2_000
GENERATIONS = 3
SITES, BATCHES = 120, 220
SPIKE = "BATCH-007"
"""The batch whose certificates all end within one day."""

# Another number when the statements below make other rows.
_RECIPE = 9
_NUMBERED = ("inventory_device", "inventory_certificate", "inventory_auditevent", "renewal_target")
_TABLES = (*_NUMBERED, "inventory_devicepresence")


@contextmanager
def running(devices: int) -> Iterator[portal.Processes]:
    """Run the stores of a home in which a fleet of so many devices stands."""
    with portal.running() as processes:
        plant(devices)
        yield processes


def plant(devices: int) -> None:
    """Make the fleet unless it is there."""
    mark = settings.HOME / "fleet.json"
    wanted = {"recipe": _RECIPE, "devices": devices}
    if mark.exists() and json.loads(mark.read_text()) == wanted:
        return
    if Device.objects.exists():
        raise SystemExit(f"{settings.HOME} holds another fleet, or half of one. Remove it; it is made again.")
    started = time.monotonic()
    fleets, sample = _surroundings()
    own = settings.DATABASES["default"]
    of_server = {"host": own["HOST"], "user": own["USER"], "password": own["PASSWORD"], "dbname": own["NAME"]}
    with psycopg.connect(**of_server, autocommit=True) as connection:
        for table in _TABLES:
            connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(sql.Identifier(table)))
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute("SELECT setseed(0.5)")
        indexes = _without_indexes(connection)
        for name, statement in _STATEMENTS.items():
            connection.execute(
                statement,
                {
                    "devices": devices,
                    "fleets": [fleet.pk for fleet in fleets],
                    "profiles": [fleet.profile_id for fleet in fleets],
                    "authority": fleets[0].authority_id,
                    "sites": list(Site.objects.order_by("id").values_list("id", flat=True)),
                    "batches": list(Batch.objects.order_by("id").values_list("id", flat=True)),
                    "now": datetime.now(UTC),
                    # How long ago the first ones ended, and one of how many is revoked or left to people: the lists of
                    # these have a page of rows in any fleet.
                    "past": max(timedelta(days=7), timedelta(days=3 * 365) * 100 / devices),
                    "rare": min(200, devices // 50),
                    "lost": min(100, devices // 300),
                    "der": sample,
                    "ladder": json.dumps(DEFAULT.to_json()),
                },
            )
            print(f"  {name}: {time.monotonic() - started:.0f} s", flush=True)
        for statement in indexes:
            connection.execute(statement)
        print(f"  indexes: {time.monotonic() - started:.0f} s", flush=True)
        for table in _TABLES:
            connection.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(sql.Identifier(table)))
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))
        for table in _NUMBERED:
            last = sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), max(id)) FROM {}")
            connection.execute(last.format(sql.Literal(table), sql.Identifier(table)))
    # No triggers ran: the counters learn here what there is.
    checking.repair()
    folding.tidy()
    target_counts.repair()
    coverage_counts.count_anew(datetime.now(UTC))
    print(f"  counters: {time.monotonic() - started:.0f} s", flush=True)
    mark.write_text(json.dumps(wanted))
    print(f"  planted {devices:,} devices in {time.monotonic() - started:.0f} s", flush=True)


def _surroundings() -> tuple[list[Fleet], bytes]:
    """Return fleets with their sites, batches and profiles, and the DER of one certificate signed by the door."""
    first = portal.fleet()
    with transaction.atomic():
        (admission,) = portal.admissions(1)
        sample = bytes(issue(admission, now=datetime.now(UTC)).der)
        transaction.set_rollback(True)
    fleets = [first]
    for slug in ("bench-gateways", "bench-sensors"):
        profile, _ = Profile.objects.get_or_create(
            slug=slug,
            defaults={
                "name": slug,
                "validity": 3 * 365 * portal.DAY,
                "renewal_window": 90 * portal.DAY,
                "subject_template": "CN={serial},O=Benchmark",
            },
        )
        authority: Authority = first.authority
        defaults = {"name": slug, "authority": authority, "profile": profile}
        fleets.append(Fleet.objects.get_or_create(slug=slug, defaults=defaults)[0])
    for number in range(SITES):
        Site.objects.get_or_create(fleet=fleets[number % 3], name=f"Site {number:03}")
    for number in range(BATCHES):
        Batch.objects.get_or_create(fleet=first, name=f"BATCH-{number:03}")
    return fleets, sample


def _without_indexes(connection: "psycopg.Connection[tuple[str, ...]]") -> Iterable[str]:
    """Drop what would be kept up row by row, and return the statements that make it again."""
    constraints = connection.execute(
        "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'u' AND conrelid = ANY(%s::regclass[])",
        [list(_TABLES)],
    ).fetchall()
    for table, name, _ in constraints:
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    indexes = connection.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
        "WHERE NOT indisprimary AND indrelid = ANY(%s::regclass[])",
        [list(_TABLES)],
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    return [
        *(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}" for table, name, definition in constraints),
        *(definition for _, definition in indexes),
    ]


# Batches are made one after another and end in the same order, spread over three years from `past` ago on.
_STATEMENTS = {
    "devices": """
        INSERT INTO inventory_device (id, fleet_id, serial, batch_id, site_id, mqtt_id, phone_number, connectivity,
                                      status, registered_at)
        SELECT n, (%(fleets)s::bigint[])[fleet], 'MTR-' || lpad(n::text, 8, '0'),
               CASE WHEN fleet = 1 THEN
                   (%(batches)s::bigint[])[1 + (n - 1) * cardinality(%(batches)s::bigint[]) / %(devices)s] END,
               -- Sites are of the three fleets in turn.
               CASE WHEN n %% 50 <> 0 THEN (%(sites)s::bigint[])[
                   fleet + 3 * floor(power(random(), 2) * (cardinality(%(sites)s::bigint[]) / 3))] END,
               CASE WHEN n %% 10 <> 9 THEN 'meter.' || n ELSE '' END,
               CASE WHEN n %% 10 < 7 THEN '+60' || (100000000 + n) ELSE '' END,
               CASE WHEN n %% 10 = 0 THEN 'always_on' WHEN n %% 10 < 7 THEN 'daily' ELSE 'intermittent' END,
               CASE WHEN n %% 250 = 1 THEN 'suspended' WHEN n %% 160 = 2 THEN 'retired' ELSE 'in_service' END,
               %(now)s::timestamptz - interval '9 years' + (n::float8 / %(devices)s) * interval '3 years'
        FROM generate_series(1, %(devices)s::bigint) n
        CROSS JOIN LATERAL (SELECT CASE WHEN n %% 20 = 0 THEN 2 WHEN n %% 7 = 0 THEN 3 ELSE 1 END AS fleet) its
    """,
    "presences": """
        INSERT INTO inventory_devicepresence (device_id, last_seen_at)
        SELECT n, CASE WHEN n %% 33 = 0 THEN NULL WHEN n %% 14 = 0 THEN %(now)s - random() * interval '120 days'
                       ELSE %(now)s - random() * interval '2 days' END
        FROM generate_series(1, %(devices)s::bigint) n
    """,
    "certificates": """
        INSERT INTO inventory_certificate (id, authority_id, serial, purpose, device_id, profile_id, subject, key_type,
            der, sha256, spki_sha256, not_before, not_after, jitter, issued_at, crl_shard, state, predecessor_id,
            successor_id, activated_at, revoked_at, revocation_reason)
        SELECT id, %(authority)s, '5' || substr(encode(digest, 'hex'), 1, 39), 'device', n,
               (%(profiles)s::bigint[])[CASE WHEN n %% 20 = 0 THEN 2 WHEN n %% 7 = 0 THEN 3 ELSE 1 END],
               'O=Benchmark,CN=MTR-' || lpad(n::text, 8, '0'),
               CASE WHEN n %% 20 = 0 THEN 'rsa-2048' ELSE 'ec-p256' END,
               overlay(%(der)s::bytea PLACING digest FROM length(%(der)s::bytea) - 31),
               digest, sha256(digest),
               begins - interval '1 hour', ends, spread, begins, n %% 8, state,
               CASE WHEN generation > 0 THEN id - %(devices)s END,
               CASE WHEN state = 'superseded' THEN id + %(devices)s END,
               CASE WHEN state <> 'issued' THEN begins + interval '1 hour' END,
               CASE WHEN state = 'revoked' THEN %(now)s - random() * interval '300 days' END,
               CASE WHEN state <> 'revoked' THEN '' WHEN n %% 3 = 0 THEN 'cessationOfOperation'
                    ELSE 'keyCompromise' END
        FROM (
            SELECT n, generation, generation * %(devices)s + n + 1000 AS id, spread,
                   sha256(int8send(generation * %(devices)s + n)) AS digest,
                   %(now)s::timestamptz - %(past)s::interval - (2 - generation) * interval '3 years'
                       + (n::float8 / %(devices)s) * interval '3 years' + spread AS ends,
                   CASE WHEN generation = 2 THEN CASE WHEN n %% %(rare)s = 3 THEN 'revoked'
                                                      WHEN unconfirmed THEN 'issued' ELSE 'confirmed' END
                        WHEN generation = 1 AND unconfirmed THEN 'confirmed'
                        ELSE 'superseded' END AS state
            FROM generate_series(0, 2) generation, generate_series(1, %(devices)s::bigint) n,
                 LATERAL (SELECT n > %(devices)s * 0.97 AND n %% 2 = 0 AS unconfirmed,
                                 CASE WHEN (n - 1) * cardinality(%(batches)s::bigint[]) / %(devices)s = 7
                                      THEN interval '0' ELSE random() * interval '30 days' END AS spread) made
        ) row, LATERAL (SELECT least(ends - interval '3 years', %(now)s::timestamptz - interval '2 hours') AS begins) b
    """,
    "audit events": """
        INSERT INTO inventory_auditevent (id, at, recorded_at, action, actor_kind, actor, source_address, request_id,
                                          object_name, device_id, certificate_id, details)
        SELECT 1000 + row_number() OVER (ORDER BY issued_at), issued_at, issued_at,
               CASE WHEN device_id %% 100 = 0 THEN 'certificate:renewal:refused'
                    WHEN device_id %% %(rare)s = 3 THEN 'certificate:revocation:done'
                    ELSE 'certificate:renewal:issued' END,
               CASE WHEN device_id %% %(rare)s = 3 THEN 'user' ELSE 'device' END,
               CASE WHEN device_id %% %(rare)s = 3 THEN 'admin' ELSE 'MTR-' || lpad(device_id::text, 8, '0') END,
               '10.20.30.40', '', subject, device_id, id, jsonb_build_object('serial', serial)
        FROM inventory_certificate WHERE id > 2 * %(devices)s + 1000
    """,
    "campaign": """
        INSERT INTO renewal_campaign (name, fleet_id, state, expires_from, expires_before, due_at, ladder,
            triggers_per_minute, allowance, paused_for, paused_at, created_at, created_by, started_at,
            chosen_from, canary, failures_to_open, failures_to_pause, sms_used, paused_because)
        SELECT 'Benchmark renewal', (%(fleets)s::bigint[])[1], 'paused', %(now)s,
               %(now)s::timestamptz + interval '90 d', %(now)s::timestamptz + interval '60 d', %(ladder)s::jsonb,
               5000, 0, interval '0', %(now)s, %(now)s, 'benchmark', %(now)s, '', 0, 0.02, 0.1, 0, '[]'::jsonb
    """,
    "targets": """
        INSERT INTO renewal_target (campaign_id, device_id, certificate_id, ends_at, state, reason, attempts_made, rung,
                                    rung_attempts, channel, asked_over, unanswered, wave, refusal, next_step_at,
                                    triggered_at, escalated_at)
        SELECT (SELECT max(id) FROM renewal_campaign), device_id, id, not_after,
               CASE WHEN device_id %% %(lost)s = 1 THEN 'escalated' WHEN device_id %% 3 = 0 THEN 'triggered'
                    ELSE 'planned' END,
               CASE WHEN device_id %% %(lost)s = 1 THEN 'no_answer' ELSE '' END, device_id %% 3, 0, device_id %% 3,
               CASE WHEN device_id %% %(lost)s = 1 THEN '' ELSE 'mqtt' END,
               CASE WHEN device_id %% 3 = 0 THEN 'mqtt' ELSE '' END, false, 0, '',
               CASE WHEN device_id %% %(lost)s <> 1 THEN %(now)s::timestamptz + random() * interval '3 days' END,
               CASE WHEN device_id %% 3 = 0 THEN %(now)s::timestamptz END,
               CASE WHEN device_id %% %(lost)s = 1 THEN %(now)s::timestamptz END
        FROM inventory_certificate
        WHERE id > 2 * %(devices)s + 1000 AND state = 'confirmed'
          AND not_after < %(now)s::timestamptz + interval '180 days'
    """,
    "waves": """
        INSERT INTO renewal_wave (campaign_id, number, size, first_end, opened_at, opened_by, excused_answers,
                                  excused_failures)
        SELECT campaign_id, 0, count(*), min(ends_at), %(now)s, '', 0, 0 FROM renewal_target GROUP BY 1
    """,
}
