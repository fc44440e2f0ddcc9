"""Sightings a second, from JSON into a durable PostgreSQL, beside one statement that only moves `last_seen_at`.

Each device has the certificate that it uses and a newer one that it has not used yet. One sighting in twenty is the
first use of a new certificate, as in a fleet that is seen once a day and renews every three weeks; one that is seen
once an hour and renews every 90 days has one in 2,000. How many first uses alone a second has its own figure. Four
reporters tell at the same time, each a process of its own as a gateway's requests and the broker's listener are. CPU
figures are of the whole: PostgreSQL's processes and ours.
"""

import json
import multiprocessing
import os
import random
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from math import log

import django
from django.db import connection

from benchmarks import portal
from benchmarks.figure import Figure
from benchmarks.measuring import ROUNDS, Rate, Side, Size, Work, cpu_seconds, rate_figures, rates
from inventory.audit.record import SYSTEM
from inventory.models import Certificate, Device
from inventory.sightings import Sighting, SightingOutcome, json_reports, record_sighting, record_sightings
from inventory.sightings.identifiers import Fingerprint

# Devices: the figures grow with the fleet, if they do, from one to the next.
_FLEETS = {Size.SMALL: (6_000, 12_000), Size.FULL: (100_000, 500_000)}
_SIGHTINGS = {Size.SMALL: 2000, Size.FULL: 20_000}
_ONE_BY_ONE = {Size.SMALL: 100, Size.FULL: 1000}
_BATCH = 5000
_REPORTERS = 4
_FIRST_USES = 0.05
_SEED = 20270301

_MAKE_DEVICES = """
    INSERT INTO inventory_device (fleet_id, serial, mqtt_id, phone_number, connectivity, status, registered_at)
    SELECT %s, 'SEEN-' || to_char(n, 'FM00000000'), '', '', 'daily', 'in_service', now()
    FROM generate_series(%s, %s) n"""
# What a sighting costs does not depend on what is in the certificate, only on how long it is.
_MAKE_CERTIFICATES = """
    INSERT INTO inventory_certificate
        (authority_id, serial, purpose, device_id, profile_id, subject, key_type, der, sha256, spki_sha256, not_before,
         not_after, jitter, issued_at, crl_shard, state, activated_at, revocation_reason)
    SELECT %s, '4' || encode(substr(digest, 1, 19), 'hex') , 'device', d.id, %s, 'CN=' || d.serial, 'ec-p256',
           decode(repeat(encode(digest, 'hex'), 20), 'hex'), digest, sha256(digest), now() - interval '100 days',
           now() + interval '1 year', interval '0', now() - interval '99 days', 0, %s, %s, ''
    FROM inventory_device d CROSS JOIN LATERAL (SELECT sha256(convert_to(d.serial || %s, 'UTF8')) AS digest) AS made
    WHERE d.serial LIKE 'SEEN-%%' AND NOT EXISTS (
        SELECT FROM inventory_devicepresence p WHERE p.device_id = d.id AND p.last_seen_at IS NOT NULL
    ) AND NOT EXISTS (
        SELECT FROM inventory_certificate c WHERE c.device_id = d.id AND c.state = %s)"""
_BARE_UPDATE = """
    UPDATE inventory_devicepresence p SET last_seen_at = seen.at
    FROM unnest(%s::bytea[], %s::timestamptz[]) AS seen (sha256, at)
    JOIN inventory_certificate c ON c.sha256 = seen.sha256
    WHERE p.device_id = c.device_id"""


class _Fleet:
    """Certificates in use and such as are not yet, drawn at random without repetition, and a clock that runs on."""

    def __init__(self, size: Size) -> None:
        self._draw = random.Random(_SEED)  # noqa: S311 - the same in each run
        self._size = size
        self._moments = count()
        self._used: list[bytes] = []
        self._new: list[bytes] = []

    def grow(self, devices: int) -> None:
        """Let there be so many devices, all with a new certificate."""
        fleet = portal.fleet()
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM inventory_device WHERE serial LIKE 'SEEN-%%'")
            [there] = cursor.fetchone()
            cursor.execute(_MAKE_DEVICES, [fleet.pk, there, devices - 1])
            cursor.execute("VACUUM (ANALYZE) inventory_device, inventory_devicepresence")
            for state, used_at in (("confirmed", datetime.now(UTC)), ("issued", None)):
                cursor.execute(_MAKE_CERTIFICATES, [fleet.authority_id, fleet.profile_id, state, used_at, state, state])
                # Without it the next is planned for an empty table, and takes a time that is quadratic.
                cursor.execute("VACUUM (ANALYZE) inventory_certificate")
        self._used = self._fingerprints("confirmed")
        self._new = self._fingerprints("issued")

    def _fingerprints(self, state: str) -> list[bytes]:
        made = Certificate.objects.filter(state=state, device__serial__startswith="SEEN-")
        found = [bytes(sha256) for sha256 in made.values_list("sha256", flat=True)]
        self._draw.shuffle(found)
        return found

    def sightings(self, number: int, first_uses: float) -> list[Sighting]:
        """Return sightings of different devices, later than all before; `first_uses` of them of new certificates."""
        new = round(number * first_uses)
        at = datetime.now(UTC) - timedelta(days=1) + timedelta(seconds=next(self._moments))
        names = self._new[:new] + self._draw.sample(self._used, number - new)
        del self._new[:new]
        self._draw.shuffle(names)
        return [Sighting(at, Fingerprint(sha256)) for sha256 in names]

    def some(self, first_uses: float) -> list[Sighting]:
        return self.sightings(_SIGHTINGS[self._size], first_uses)


def run(size: Size) -> list[Figure]:
    figures, at_sizes = [], []
    # Not forked: a child must not share the connection to the database.
    apart = multiprocessing.get_context("spawn")
    with portal.running() as started, ProcessPoolExecutor(_REPORTERS, apart, django.setup) as reporters:
        portal.refuse_forgetful_database()
        fleet = _Fleet(size)

        def used() -> float:
            # The reporters are children of this process.
            return cpu_seconds(started["postgres"]) + cpu_seconds(os.getpid())

        for devices in _FLEETS[size]:
            fleet.grow(devices)
            measured = rates(_sides(fleet, size, reporters), rounds=ROUNDS[size], cpu=used)
            at_sizes.append((devices, measured["mixed"].per_second))
            figures = _figures(measured)
            print(f"{devices:,} devices: {measured['mixed'].per_second:,.0f} sightings/s", flush=True)
    return [*figures, _growth(at_sizes)]


def _sides(fleet: _Fleet, size: Size, reporters: Executor) -> dict[str, Side]:
    return {
        "mixed": lambda: _in_batches(reporters, fleet.some(_FIRST_USES)),
        "seen": lambda: _in_batches(reporters, fleet.some(0)),
        "first_uses": lambda: _in_batches(reporters, fleet.sightings(_SIGHTINGS[size] // 4, 1)),
        "bare_update": lambda: _bare_update(fleet.some(0)),
        "one_by_one": lambda: _one_by_one(fleet.sightings(_ONE_BY_ONE[size], _FIRST_USES)),
    }


def _in_batches(reporters: Executor, sightings: Sequence[Sighting]) -> Work:
    reports = [
        json.dumps([{"seen_at": each.at.isoformat(), "sha256": each.name.sha256.hex()} for each in batch])
        for batch in _cut(sightings)
    ]

    def work() -> int:
        for outcomes in reporters.map(_report, reports):
            # A device that both reporters saw at the same moment is news from one of them.
            assert outcomes <= {SightingOutcome.SEEN, SightingOutcome.CONFIRMED, SightingOutcome.OLDER}, (
                "not all were taken in"
            )
        return len(sightings)

    return work


def _report(report: str) -> set[SightingOutcome]:
    """Take in what is told, in the process of a reporter."""
    batch = [json_reports.sighting(row) for row in json.loads(report)]
    return {result.outcome for result in record_sightings(batch, datetime.now(UTC), SYSTEM)}


def _bare_update(sightings: Sequence[Sighting]) -> Work:
    def work() -> int:
        for batch in _cut(sightings):
            with connection.cursor() as cursor:
                cursor.execute(_BARE_UPDATE, [[each.name.sha256 for each in batch], [each.at for each in batch]])
        return len(sightings)

    return work


def _one_by_one(sightings: Sequence[Sighting]) -> Work:
    found = Certificate.objects.select_related("device").in_bulk(
        [each.name.sha256 for each in sightings], field_name="sha256"
    )
    waiting = [(found[each.name.sha256], each.at) for each in sightings]

    def work() -> int:
        for certificate, at in waiting:
            assert isinstance(certificate.device, Device)
            record_sighting(certificate, certificate.device, now=at, actor=SYSTEM)
        return len(waiting)

    return work


def _cut(sightings: Sequence[Sighting]) -> list[Sequence[Sighting]]:
    """Return batches, at least one for each reporter."""
    size = min(_BATCH, -(-len(sightings) // _REPORTERS))
    return [sightings[start : start + size] for start in range(0, len(sightings), size)]


def _figures(measured: dict[str, Rate]) -> list[Figure]:
    bare, bare_cpu = rate_figures("sightings.bare_update", "updates", measured["bare_update"])
    one, _ = rate_figures("sightings.one_by_one", "sightings", measured["one_by_one"])
    mixed, mixed_cpu = rate_figures("sightings", "sightings", measured["mixed"])

    def named(name: str) -> Figure:
        return rate_figures(f"sightings.{name}", "sightings", measured[name])[0]

    return [
        bare,
        mixed.beside(bare),
        mixed_cpu.beside(bare_cpu),
        mixed.beside(one, "sightings.of_one_by_one"),
        named("seen").beside(bare),
        named("first_uses").beside(bare),
        one.beside(bare),
    ]


def _growth(at_sizes: Sequence[tuple[int, float]]) -> Figure:
    """Return the exponent with which the time of a sighting grows from the smallest fleet to the largest."""
    (small, fast), *_, (large, slow) = at_sizes
    return Figure(
        "sightings.growth", log(fast / slow) / log(large / small), f"exponent, {small:,} to {large:,} devices"
    )
