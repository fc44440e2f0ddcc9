"""Rows in PostgreSQL's binary COPY format, for the staging tables of `merging`. Pure: values in, bytes out."""

import struct
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from inventory.importing.rows import CertificateRow, DeviceRow

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

# The columns of the staging tables, in the order in which rows are written here.
DEVICE_COLUMNS = (
    "line bigint", "fleet_id bigint", "serial text", "site text", "batch text", "latitude float8", "longitude float8",
    "mqtt_id text", "phone_number text", "connectivity text", "status text", "last_seen_at timestamptz",
)  # fmt: skip
CERTIFICATE_COLUMNS = (
    "line bigint", "issuer bytea", "serial text", "purpose text", "fleet_id bigint", "device text", "subject text",
    "key_type text", "der bytea", "sha256 bytea", "spki_sha256 bytea", "not_before timestamptz",
    "not_after timestamptz", "issued_at timestamptz", "state text", "revoked_at timestamptz", "revocation_reason text",
)  # fmt: skip

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NULL = b"\xff\xff\xff\xff"
_INT8 = struct.Struct(">iq").pack
_FLOAT8 = struct.Struct(">id").pack
_DEVICE_WIDTH = len(DEVICE_COLUMNS).to_bytes(2)
_CERTIFICATE_WIDTH = len(CERTIFICATE_COLUMNS).to_bytes(2)


def device(line: int, row: DeviceRow) -> bytes:
    return b"".join(
        (
            _DEVICE_WIDTH,
            _INT8(8, line),
            _INT8(8, row.fleet_id),
            _text(row.serial),
            _word(row.site),
            _word(row.batch),
            _float(row.latitude),
            _float(row.longitude),
            _text(row.mqtt_id),
            _text(row.phone_number),
            _word(row.connectivity),
            _word(row.status),
            _moment(row.last_seen_at),
        )
    )


def certificate(line: int, row: CertificateRow, *, by_own_authority: bool) -> bytes:
    """Return a staged certificate. One by an authority of ours has no issuer: it can only be one that is known."""
    facts, holder = row.facts, row.holder
    return b"".join(
        (
            _CERTIFICATE_WIDTH,
            _INT8(8, line),
            _NULL if by_own_authority else _bytes(facts.issuer.identity),
            _text(facts.serial),
            _word("authority" if facts.authority else "device" if holder else "tracked"),
            _INT8(8, holder[0]) if holder else _NULL,
            _text(holder[1]) if holder else _NULL,
            _text(facts.subject),
            _word(facts.key_type),
            _bytes(facts.der),
            _bytes(facts.sha256),
            _bytes(facts.spki_sha256),
            _moment(facts.not_before),
            _moment(facts.not_after),
            _moment(row.issued_at),
            _word("revoked" if row.revoked_at else "issued"),
            _moment(row.revoked_at),
            _word(row.revocation_reason),
        )
    )


def _bytes(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value


def _text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(4) + encoded


# Text that is the same in many rows.
_word = lru_cache(maxsize=4096)(_text)


def _float(value: float | None) -> bytes:
    return _NULL if value is None else _FLOAT8(8, value)


def _moment(value: datetime | None) -> bytes:
    return _NULL if value is None else _INT8(8, (value - _EPOCH) // _MICROSECOND)
