"""Rows in PostgreSQL's binary COPY format, for the staging tables of `loading.merge`. Pure: values in, bytes out."""

import struct

from inventory.importing.parsing.rows import CertificateRow, DeviceRow
from inventory.pg_copy import NULL, int8, microseconds, moment, octets, text, word

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

_FLOAT8_PAIR = struct.Struct(">idid").pack
# Columns that stand together, each behind its length: how many there are, a line, and a fleet.
_LINE = struct.Struct(">hiq").pack
_LINE_AND_FLEET = struct.Struct(">hiqiq").pack
# Fingerprints of a certificate and of its key, from when to when it is valid, and when it was issued.
_FINGERPRINTS_AND_TIMES = struct.Struct(">i32si32siqiqiq").pack
_DEVICE_WIDTH, _CERTIFICATE_WIDTH = len(DEVICE_COLUMNS), len(CERTIFICATE_COLUMNS)


def device(line: int, row: DeviceRow) -> bytes:
    return b"".join(
        (
            _LINE_AND_FLEET(_DEVICE_WIDTH, 8, line, 8, row.fleet_id),
            text(row.serial),
            word(row.site),
            word(row.batch),
            _NO_COORDINATES if row.latitude is None else _FLOAT8_PAIR(8, row.latitude, 8, row.longitude),
            text(row.mqtt_id),
            text(row.phone_number),
            word(row.connectivity),
            word(row.status),
            moment(row.last_seen_at),
        )
    )


def certificate(line: int, row: CertificateRow, *, by_own_authority: bool) -> bytes:
    """Return a staged certificate. One by an authority of ours has no issuer: it can only be one that is known."""
    facts, holder = row.facts, row.holder
    return b"".join(
        (
            _LINE(_CERTIFICATE_WIDTH, 8, line),
            NULL if by_own_authority else octets(facts.issuer.identity),
            text(facts.serial),
            word("authority" if facts.authority else "device" if holder else "tracked"),
            int8(holder[0]) if holder else NULL,
            text(holder[1]) if holder else NULL,
            text(facts.subject),
            word(facts.key_type),
            octets(facts.der),
            _FINGERPRINTS_AND_TIMES(
                *(32, facts.sha256, 32, facts.spki_sha256),
                *(8, microseconds(facts.not_before), 8, microseconds(facts.not_after)),
                *(8, microseconds(row.issued_at)),
            ),
            word("revoked") + moment(row.revoked_at) + word(row.revocation_reason) if row.revoked_at else _ISSUED,
        )
    )


_NO_COORDINATES = 2 * NULL
# State, time and reason of what is not revoked.
_ISSUED = text("issued") + NULL + text("")
