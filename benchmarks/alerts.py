"""Sweeps over a fleet: the first, the next day's, one that finds nothing, and one in which a whole fleet is due.

And how long people wait for the list of what they raised.

Rows are made by the database, with random bytes for DER: a sweep reads dates and states only.
"""

import math
import time
from datetime import UTC, datetime, timedelta

from django.db import connection

from benchmarks import portal
from benchmarks.figure import Figure
from benchmarks.measuring import Size, percentile
from inventory.alerts.sweep import sweep
from inventory.lists.cursors import Cursor
from inventory.models import (
    Alert,
    AlertLevel,
    AlertPolicy,
    AlertRun,
    AppliesTo,
    Certificate,
    Channel,
    Delivery,
    Device,
    Fleet,
    Recipient,
)

_DEVICES = {Size.SMALL: (1_000, 5_000, 20_000), Size.FULL: (22_000, 220_000, 2_200_000)}
_NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
_SPAN = timedelta(days=3 * 365)
_LOOPED = 500
_LIMIT_SECONDS = 30
_LIST = "/admin/inventory/alert/"
# The first page, the last, and filters that nearly all alerts meet, or none.
_LAST = Cursor("inventory.alert", "urgency,ends_at", True, '["1", "9999-12-31T23:59:59+00:00"]', 1)
_PAGES = ("", f"?cursor={_LAST.encode()}", "?state=waiting", "?urgency=1", "?level=1", "?level=3", "?urgency=0")
_LIMIT_MS = 200
_LOOKS = 3

_PLANT_DEVICES = """
    INSERT INTO inventory_device (fleet_id, serial, mqtt_id, phone_number, connectivity, status, registered_at)
    SELECT %(fleet)s, 'SWEEP-' || n, '', '', 'intermittent', 'in_service', %(now)s
    FROM generate_series(%(first)s::int, %(last)s::int) n
"""
# Ends are spread over three years, in another order than rows were written.
_PLANT_CERTIFICATES = """
    INSERT INTO inventory_certificate
        (authority_id, serial, purpose, device_id, profile_id, subject, key_type, der, sha256, spki_sha256,
         not_before, not_after, jitter, issued_at, crl_shard, state, activated_at, revocation_reason)
    SELECT %(authority)s, '5' || md5(serial), 'device', id, %(profile)s, 'CN=' || serial, 'ec-p256',
           decode(repeat(md5(serial), 20), 'hex'), sha256(serial::bytea), sha256(('k' || serial)::bytea),
           ends - %(span)s, ends, interval '0', ends - %(span)s, 0, 'confirmed', ends - %(span)s, ''
    FROM (
        SELECT id, serial, %(now)s + %(span)s * ((id * 7919 %% 1000003) / 1000003.0) AS ends
        FROM inventory_device WHERE fleet_id = %(fleet)s AND serial LIKE 'SWEEP-%%'
          AND split_part(serial, '-', 2)::int BETWEEN %(first)s AND %(last)s
    ) planted
"""
# What PostgreSQL would look up or keep in order for each row: (how to drop it, how to make it again).
_CHECKS_AND_INDEXES = """
    SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),
           format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text = ANY(%(tables)s)
    UNION ALL
    SELECT format('DROP INDEX %%s', indexrelid::regclass), pg_get_indexdef(indexrelid)
    FROM pg_index WHERE NOT indisunique AND indrelid::regclass::text = ANY(%(tables)s)
"""


def run(size: Size) -> list[Figure]:
    with portal.running():
        fleet = portal.fleet()
        _name_recipients()
        seconds: dict[str, dict[int, float]] = {"first": {}, "next_day": {}, "nothing": {}, "cliff": {}}
        pages: dict[str, float] = {}
        figures: list[Figure] = []
        planted = 0
        for devices in _DEVICES[size]:
            _plant(fleet, planted + 1, devices)
            planted = devices
            _measure(devices, seconds, pages)
        loop = _loop_rate()
        largest = max(_DEVICES[size])
        for name, by_size in seconds.items():
            figures += [Figure(f"alerts.{name}_sweep_{devices:_}_s", taken, "s") for devices, taken in by_size.items()]
            figures.append(Figure(f"alerts.{name}_growth_exponent", _exponent(by_size), ""))
        figures += [Figure(f"alerts.{name}_list_ms", taken, "ms") for name, taken in pages.items()]
        limit = Figure("alerts.limit_s", _LIMIT_SECONDS, "s")
        raised = Alert.objects.count()
        rate = Figure("alerts.raised_per_s", raised / seconds["cliff"][largest], "alerts/s")
        return [
            *figures,
            loop,
            rate.beside(loop),
            Figure("alerts", seconds["first"][largest], "s").beside(limit),
            Figure("alerts.cliff", seconds["cliff"][largest], "s").beside(limit),
        ]


def _name_recipients() -> None:
    """Put somebody on every level, so that digests are written."""
    ops = Recipient.objects.create(name="ops", channel=Channel.EMAIL, address="ops@example.org")
    for level in AlertLevel.objects.all():
        level.recipients.add(ops)


def _plant(fleet: Fleet, first: int, last: int) -> None:
    given = {
        "fleet": fleet.pk,
        "authority": fleet.authority_id,
        "profile": fleet.profile_id,
        "now": _NOW,
        "span": _SPAN,
        "first": first,
        "last": last,
    }
    tables = [Device._meta.db_table, Certificate._meta.db_table]
    with connection.cursor() as cursor:
        cursor.execute(_CHECKS_AND_INDEXES, {"tables": tables})
        aside = cursor.fetchall()
        # The rows fit together: they are checked and put in order once, afterwards.
        for drop, _make in aside:
            cursor.execute(drop)
        cursor.execute(_PLANT_DEVICES, given)
        cursor.execute(_PLANT_CERTIFICATES, given)
        for _drop, make in aside:
            cursor.execute(make)
        cursor.execute(f"VACUUM ANALYZE {', '.join(tables)}")


def _measure(devices: int, seconds: dict[str, dict[int, float]], pages: dict[str, float]) -> None:
    """Take the sweeps of one size, each once: what it writes is there for the next. Pages are of the largest size."""
    _forget([90, 60, 30])
    seconds["first"][devices] = _timed(_NOW)
    pages["first"] = _slowest_page_ms()
    seconds["next_day"][devices] = _timed(_NOW + timedelta(days=1))
    seconds["nothing"][devices] = _timed(_NOW + timedelta(days=1, minutes=5))
    # Every certificate is due for the first time, as when a whole fleet ends in one quarter.
    _forget([_SPAN.days])
    seconds["cliff"][devices] = _timed(_NOW)
    pages["cliff"] = _slowest_page_ms()


def _forget(thresholds: list[int]) -> None:
    with connection.cursor() as cursor:
        tables = (Alert, Delivery, AlertRun)
        cursor.execute(f"TRUNCATE {', '.join(table._meta.db_table for table in tables)}")
    policies = AlertPolicy.objects.filter(applies_to=AppliesTo.INTERMITTENT)
    assert policies.update(thresholds=thresholds) == 1


def _timed(now: datetime) -> float:
    started = time.perf_counter()
    assert sweep(now) is not None
    return time.perf_counter() - started


def _slowest_page_ms() -> float:
    ask = portal.browser()
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {Alert._meta.db_table}")
    taken = []
    for page in _PAGES:
        seen = []
        for _ in range(_LOOKS):
            started = time.perf_counter()
            ask(_LIST + page)
            seen.append((time.perf_counter() - started) * 1000)
        taken.append(percentile(seen, 50))
        if taken[-1] > _LIMIT_MS:
            print(f"  slow: {taken[-1]:,.0f} ms {page}", flush=True)
    return max(taken)


def _loop_rate() -> Figure:
    """Raise alerts the usual way, by one look and one row at a time, and return how many a second."""
    policy = AlertPolicy.objects.get(applies_to=AppliesTo.INTERMITTENT)
    certificates = Certificate.objects.of_devices().select_related("device").defer("der").order_by("pk")[:_LOOPED]
    started = time.perf_counter()
    for certificate in certificates:
        Alert.objects.get_or_create(
            certificate=certificate,
            threshold=1,
            urgency=1,
            defaults={
                "kind": "device_expiry",
                "policy": policy,
                "ends_at": certificate.not_after,
                "raised_at": _NOW,
                "level_since": _NOW,
            },
        )
    return Figure("alerts.loop_per_s", _LOOPED / (time.perf_counter() - started), "alerts/s")


def _exponent(seconds: dict[int, float]) -> float:
    """Return the exponent between the middle size and the largest: 1 is linear."""
    _few, middle, many = sorted(seconds)
    return math.log(seconds[many] / seconds[middle]) / math.log(many / middle)
