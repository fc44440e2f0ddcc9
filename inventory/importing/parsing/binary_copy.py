"""Rows in PostgreSQL's binary COPY format, for the staging tables of `merging`. Pure: values in, bytes out."""

import struct
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from inventory.importing.parsing.rows import CertificateRow, DeviceRow

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

# The columns of the staging tables, in the order in which rows are written here.
DEVICE_COLUMNS = (
    "line bigint", "fleet_id bigint", "serial text", "site text", "batch text", "latitude float8", "longitude float8",
    "mqtt_id text", "phone_number text", "connectivity text", "status text", "last_seen_at timestamptz",
    "certified boolean",
)  # fmt: skip
CERTIFICATE_COLUMNS = (
    "line bigint", "issuer bytea", "serial text", "purpose text", "fleet_id bigint", "device text", "subject text",
    "key_type text", "der bytea", "sha256 bytea", "spki_sha256 bytea", "not_before timestamptz",
    "not_after timestamptz", "issued_at timestamptz", "state text", "revoked_at timestamptz", "revocation_reason text",
)  # fmt: skip

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NULL = b"\xff\xff\xff\xff"
_FALSE, _TRUE = b"\0\0\0\1\0", b"\0\0\0\1\1"
_INT8 = struct.Struct(">iq").pack
_FLOAT8_PAIR = struct.Struct(">idid").pack
# Columns that stand together, each behind its length: how many there are, a line, and a fleet.
_LINE = struct.Struct(">hiq").pack
_LINE_AND_FLEET = struct.Struct(">hiqiq").pack
# Fingerprints of a certificate and of its key, from when to when it is valid, and when it was issued.
_FINGERPRINTS_AND_TIMES = struct.Struct(">i32si32siqiqiq").pack
_DEVICE_WIDTH, _CERTIFICATE_WIDTH = len(DEVICE_COLUMNS), len(CERTIFICATE_COLUMNS)


def device(line: int, row: DeviceRow, *, certified: bool) -> bytes:
    """Return a staged device; `certified`, whether a certificate of it is staged beside it."""
    return b"".join(
        (
            _LINE_AND_FLEET(_DEVICE_WIDTH, 8, line, 8, row.fleet_id),
            _text(row.serial),
            _word(row.site),
            _word(row.batch),
            _NO_COORDINATES if row.latitude is None else _FLOAT8_PAIR(8, row.latitude, 8, row.longitude),
            _text(row.mqtt_id),
            _text(row.phone_number),
            _word(row.connectivity),
            _word(row.status),
            _moment(row.last_seen_at),
            _TRUE if certified else _FALSE,
        )
    )


def certificate(line: int, row: CertificateRow, *, by_own_authority: bool) -> bytes:
    """Return a staged certificate. One by an authority of ours has no issuer: it can only be one that is known."""
    facts, holder = row.facts, row.holder
    return b"".join(
        (
            _LINE(_CERTIFICATE_WIDTH, 8, line),
            _NULL if by_own_authority else _bytes(facts.issuer.identity),
            _text(facts.serial),
            _word("authority" if facts.authority else "device" if holder else "tracked"),
            _INT8(8, holder[0]) if holder else _NULL,
            _text(holder[1]) if holder else _NULL,
            _text(facts.subject),
            _word(facts.key_type),
            _bytes(facts.der),
            _FINGERPRINTS_AND_TIMES(
                *(32, facts.sha256, 32, facts.spki_sha256),
                *(8, _microseconds(facts.not_before), 8, _microseconds(facts.not_after)),
                *(8, _microseconds(row.issued_at)),
            ),
            _word("revoked") + _moment(row.revoked_at) + _word(row.revocation_reason) if row.revoked_at else _ISSUED,
        )
    )


def _bytes(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value


def _text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(4) + encoded


# Text that is the same in many rows.
_word = lru_cache(maxsize=4096)(_text)


_NO_COORDINATES = 2 * _NULL
# State, time and reason of what is not revoked.
_ISSUED = _text("issued") + _NULL + _text("")


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(value: datetime | None) -> bytes:
    return _NULL if value is None else _INT8(8, _microseconds(value))
