"""Rows by the thousand, as an import makes them: whole statements, no signatures."""

from datetime import datetime

from django.db import connection

from inventory.models import Certificate, Device


def execute(sql: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def plant(certificate: Certificate, count: int, *, not_after: datetime, **places: int | None) -> None:
    """Give `count` new devices a certificate each that ends at `not_after`: copies of `certificate` and its device.

    `places` replace columns of the device: `batch_id`, `site_id`.
    """
    device = certificate.device
    assert device is not None
    first = Device.objects.latest("pk").pk + 1
    execute(
        "INSERT INTO inventory_device (id, fleet_id, serial, batch_id, site_id, mqtt_id, phone_number, connectivity,"
        " status, registered_at) SELECT %s + n, %s, 'P' || %s + n, %s, %s, '', '', 'daily', 'in_service', %s"
        " FROM generate_series(1, %s) n",
        first,
        device.fleet_id,
        first,
        places.get("batch_id"),
        places.get("site_id"),
        device.registered_at,
        count,
    )
    execute("SELECT setval(pg_get_serial_sequence('inventory_device', 'id'), max(id)) FROM inventory_device")
    columns = {field.column: field.column for field in Certificate._meta.fields if field.column != "id"}
    columns |= {
        "device_id": "%(first)s + n",
        "serial": "to_hex(%(first)s + n)",
        "issuance_index": "NULL::bigint",
        "sha256": "sha256((%(first)s + n)::text::bytea)",
        "spki_sha256": "sha256((%(first)s + n)::text::bytea)",
        "not_after": "%(not_after)s",
    }
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO inventory_certificate ({', '.join(columns)}) "  # noqa: S608
            f"SELECT {', '.join(columns.values())} FROM inventory_certificate, generate_series(1, %(count)s) n "
            "WHERE id = %(id)s",
            {"first": first, "not_after": not_after, "count": count, "id": certificate.pk},
        )
