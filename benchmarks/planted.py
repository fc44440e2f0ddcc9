"""Fleets of millions, made by SQL: certificates are copies of a real one with dates and places of their own."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from benchmarks import portal
from inventory.issuing.certificates import issue_many
from inventory.models import Batch, Certificate, Device, Fleet, Site

SITES = 40
BATCHES = 200
# One statement inserts this many rows, as an import would.
_CHUNK = 100_000
# The certificate of device n ends on one of the days of three years in turn; one in a hundred did lately, unrenewed.
_LATELY, _DAYS = 11, 3 * 365 + 11
_ENDS = (
    f"date_trunc('day', %(now)s::timestamptz) + (n %% {_DAYS} - {_LATELY}) * interval '1 day'"
    " + (n * 7919 %% 86400) * interval '1 second'"
)
_DEVICES = """
    INSERT INTO inventory_device (id, fleet_id, serial, batch_id, site_id, mqtt_id, phone_number, connectivity, status,
                                  registered_at)
    SELECT n, %(fleet)s, 'PLANT-' || lpad(n::text, 9, '0'), %(batch)s + n %% %(batches)s, %(site)s + n %% %(sites)s,
           'plant.' || n, '', 'daily', 'in_service', %(now)s
    FROM generate_series(%(first)s::bigint, %(last)s) n"""
_SEEN = """
    UPDATE inventory_devicepresence SET last_seen_at = %(now)s::timestamptz - (device_id %% 86400) * interval '1 second'
    WHERE device_id BETWEEN %(first)s AND %(last)s AND device_id %% 50 > 0"""
_CURRENT = {
    "device_id": "n",
    "serial": "to_hex(n * 8 + %(generation)s)",
    "issuance_index": "NULL::bigint",
    "sha256": "sha256((n * 8 + %(generation)s)::text::bytea)",
    "not_before": "ends - interval '3 years'",
    "not_after": "ends",
    "issued_at": "ends - interval '3 years'",
    "state": "CASE WHEN n %% 33 = 0 THEN 'revoked' WHEN n %% 20 = 0 THEN 'issued' ELSE 'confirmed' END",
    "activated_at": "CASE WHEN n %% 33 > 0 AND n %% 20 > 0 THEN ends - interval '2 years' END",
    "revoked_at": "CASE WHEN n %% 33 = 0 THEN %(now)s::timestamptz END",
    "revocation_reason": "CASE WHEN n %% 33 = 0 THEN 'unspecified' ELSE '' END",
}
_OLDER = {
    **_CURRENT,
    "state": "'superseded'",
    "activated_at": "ends - interval '2 years'",
    "revoked_at": "NULL::timestamptz",
    "revocation_reason": "''",
    "successor_id": "(SELECT min(newer.id) FROM inventory_certificate newer WHERE newer.device_id = n)",
}


@dataclass(frozen=True)
class Planted:
    fleet: Fleet
    template: Certificate
    first_device: int
    devices: int


def fleet(devices: int, now: datetime, *, slug: str = "planted") -> Planted:
    """Plant `devices` devices with one certificate each, at sites and in batches of one fleet."""
    template = issue_many(portal.admissions(1), now)[0]
    ruled = portal.fleet()
    made = Fleet.objects.create(slug=slug, name=slug, authority=ruled.authority, profile=ruled.profile)
    site = Site.objects.bulk_create(Site(fleet=made, name=f"Site {number:02}") for number in range(SITES))[0]
    batch = Batch.objects.bulk_create(Batch(fleet=made, name=f"B{number:03}") for number in range(BATCHES))[0]
    planted = Planted(made, template, Device.objects.latest("pk").pk + 1, devices)
    places = {"fleet": made.pk, "site": site.pk, "sites": SITES, "batch": batch.pk, "batches": BATCHES}
    for first, last in _chunks(planted):
        with connection.cursor() as cursor:
            cursor.execute(_DEVICES, {**places, "first": first, "last": last, "now": now})
            cursor.execute(_SEEN, {"first": first, "last": last, "now": now})
        _certificates(template, _CURRENT, _ENDS, first, last, now, generation=0)
    _settle()
    return planted


def older_certificates(planted: Planted, generations: int, now: datetime) -> None:
    """Give each device certificates that were superseded three years ago, six, and so on."""
    for generation in range(1, generations + 1):
        for first, last in _chunks(planted):
            ends = f"{_ENDS} - interval '{3 * generation} years'"
            _certificates(planted.template, _OLDER, ends, first, last, now, generation=generation)
    _settle()


def spike(planted: Planted, count: int, ends: datetime, now: datetime) -> Batch:
    """Plant a batch of `count` new devices whose certificates all end on one day."""
    batch = Batch.objects.create(fleet=planted.fleet, name="SPIKE")
    first = Device.objects.latest("pk").pk + 1
    places = {"fleet": planted.fleet.pk, "batch": batch.pk, "batches": 1, "sites": SITES}
    places["site"] = Site.objects.filter(fleet=planted.fleet).earliest("pk").pk
    with connection.cursor() as cursor:
        cursor.execute(_DEVICES, {**places, "first": first, "last": first + count - 1, "now": now})
        cursor.execute(_SEEN, {"first": first, "last": first + count - 1, "now": now})
    in_use = {**_CURRENT, "state": "'confirmed'", "activated_at": "ends", "revoked_at": "NULL::timestamptz"}
    in_use["revocation_reason"] = "''"
    day = f"'{ends.isoformat()}'::timestamptz + (n %% 86400) * interval '1 second'"
    _certificates(planted.template, in_use, day, first, first + count - 1, now, generation=0)
    return batch


def _chunks(planted: Planted) -> list[tuple[int, int]]:
    end = planted.first_device + planted.devices
    return [(first, min(first + _CHUNK, end) - 1) for first in range(planted.first_device, end, _CHUNK)]


def _certificates(
    template: Certificate, changes: dict[str, str], ends: str, first: int, last: int, now: datetime, *, generation: int
) -> None:
    columns = {field.column: f"template.{field.column}" for field in Certificate._meta.fields if field.column != "id"}
    columns |= changes
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO inventory_certificate ({', '.join(columns)}) SELECT {', '.join(columns.values())} "  # noqa: S608
            f"FROM (SELECT n, {ends} AS ends FROM generate_series(%(first)s::bigint, %(last)s) n) places, "
            "inventory_certificate template WHERE template.id = %(template)s",
            {"first": first, "last": last, "now": now, "generation": generation, "template": template.pk},
        )


def _settle() -> None:
    """Let the planner know what there is, and the index of devices' ids where it ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('inventory_device', 'id'), max(id)) FROM inventory_device")
        for table in ("inventory_device", "inventory_devicepresence", "inventory_certificate"):
            cursor.execute(f"VACUUM (ANALYZE) {table}")
