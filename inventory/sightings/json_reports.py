"""Reading a sighting from JSON, as the API and the MQTT topic take it. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from inventory.formats import device_fields
from inventory.sightings.identifiers import (
    LONGEST_ISSUER,
    DeviceSerial,
    Fingerprint,
    IssuerAndSerial,
    MqttId,
    Name,
    Sighting,
)
from inventory.x509.serials import hexadecimal

_FIELDS = frozenset({"seen_at", "sha256", "issuer", "serial", "fleet", "device"})
_OF_CERTIFICATE = frozenset({"sha256", "issuer", "serial"})
_SHA256_DIGITS = 64
_SLUG = re.compile(r"[-A-Za-z0-9_]{1,50}")


class Malformed(ValueError):
    """The row is not a sighting; the text names the field and what it needs."""


def sighting(row: object) -> Sighting:
    """Read a row of a bulk report. Raises Malformed."""
    fields = _object(row)
    if "seen_at" not in fields:
        raise Malformed("seen_at is missing; give the time of the sighting, for example 2027-03-01T12:00:00Z.")
    return Sighting(_moment(fields["seen_at"]), _name(fields))


def sighting_of(device: MqttId, row: object, received_at: datetime) -> Sighting:
    """Read a report of one device, which need not contain the device or the time. Raises Malformed.

    Devices without a clock leave `seen_at` out.
    """
    fields = _object(row)
    if fields.keys() & {"fleet", "device"}:
        raise Malformed("fleet and device are said by the topic; leave them out.")
    at = _moment(fields["seen_at"]) if "seen_at" in fields else received_at
    name = _name(fields) if fields.keys() & _OF_CERTIFICATE else device
    return Sighting(at, name, only=device)


def _object(row: object) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise Malformed("A sighting is a JSON object.")
    if unknown := sorted(str(field) for field in row.keys() - _FIELDS):
        # JSON can name what neither UTF-8 nor PostgreSQL can hold.
        names = ", ".join(unknown)[:200].encode("utf-8", "replace").decode().replace("\0", "?")
        raise Malformed(f"{names}: no field of a sighting. Fields are {', '.join(sorted(_FIELDS))}.")
    return row


def _name(fields: Mapping[str, Any]) -> Name:
    given = fields.keys() - {"seen_at"}
    if given == {"sha256"}:
        return Fingerprint(_sha256(fields["sha256"]))
    if given == {"issuer", "serial"}:
        return IssuerAndSerial(_issuer(fields["issuer"]), _serial(fields["serial"]))
    if given == {"fleet", "device"}:
        return DeviceSerial(
            _match(_SLUG, fields["fleet"], "fleet is the label of a fleet."),
            _match(device_fields.SERIAL, fields["device"], "device is the serial number of a device."),
        )
    raise Malformed("Name a certificate by sha256 or by issuer and serial, or a device by fleet and device.")


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment and moment.tzinfo:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Malformed("seen_at is a time with its offset, for example 2027-03-01T12:00:00Z.")


def _sha256(value: object) -> bytes:
    digits = hexadecimal(value) if isinstance(value, str) else None
    if digits is None or len(digits) != _SHA256_DIGITS:
        raise Malformed("sha256 is the SHA-256 fingerprint of the certificate: 64 hexadecimal digits, colons allowed.")
    return bytes.fromhex(digits)


def _serial(value: object) -> str:
    digits = hexadecimal(value) if isinstance(value, str) else None
    stored = (digits or "").lstrip("0")
    if not 1 <= len(stored) <= 40:
        raise Malformed("serial is a serial number of at most 20 octets in hexadecimal, colons allowed.")
    return stored


def _issuer(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_ISSUER or not value.isprintable():
        raise Malformed("issuer is the slug or the subject of the issuing authority.")
    return value


def _match(pattern: re.Pattern[str], value: object, needed: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Malformed(needed)
    return value
