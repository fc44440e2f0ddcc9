"""Rows by the thousand, as an import makes them: whole statements, no signatures."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from django.db import connection

from inventory.models import Certificate, Device


def execute(sql: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def plant(
    certificate: Certificate,
    count: int,
    *,
    not_after: datetime,
    devices: Mapping[str, str] = MappingProxyType({}),
    certificates: Mapping[str, str] = MappingProxyType({}),
    **places: int | None,
) -> None:
    """Give `count` new devices a certificate each that ends at `not_after`: copies of `certificate` and its device.

    `places` replace columns of the device: `batch_id`, `site_id`. `devices` and `certificates` replace columns by SQL,
    in which `n` is the key of the device. To change them afterwards writes each row and all its indexes once more.
    """
    device = certificate.device
    assert device is not None
    latest = Device.objects.latest("pk").pk
    numbers = {"first": latest + 1, "last": latest + count}
    columns = {
        "id": "n",
        "fleet_id": "%(fleet_id)s",
        "serial": "'P' || n",
        "batch_id": "%(batch_id)s",
        "site_id": "%(site_id)s",
        "mqtt_id": "''",
        "phone_number": "''",
        "connectivity": "'daily'",
        "status": "'in_service'",
        "registered_at": "%(registered_at)s",
        **devices,
    }
    _insert(
        "inventory_device",
        columns,
        "generate_series(%(first)s, %(last)s) n",
        {
            "fleet_id": device.fleet_id,
            "batch_id": places.get("batch_id"),
            "site_id": places.get("site_id"),
            "registered_at": device.registered_at,
            **numbers,
        },
    )
    execute("SELECT setval(pg_get_serial_sequence('inventory_device', 'id'), max(id)) FROM inventory_device")
    columns = {
        **{field.column: field.column for field in Certificate._meta.fields if field.column != "id"},
        "device_id": "n",
        "serial": "to_hex(n)",
        "issuance_index": "NULL::bigint",
        "sha256": "sha256(n::text::bytea)",
        "spki_sha256": "sha256(n::text::bytea)",
        "not_after": "%(not_after)s",
        **certificates,
    }
    _insert(
        "inventory_certificate",
        columns,
        "inventory_certificate, generate_series(%(first)s, %(last)s) n WHERE id = %(id)s",
        {"not_after": not_after, "id": certificate.pk, **numbers},
    )


def _insert(table: str, columns: Mapping[str, str], rows: str, values: Mapping[str, object]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM {rows}",  # noqa: S608
            values,
        )
