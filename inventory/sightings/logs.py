"""Reading sightings from the logs of nginx and Mosquitto, a line at a time. Pure.

A line that tells of no sighting gives None: logs hold many. What a client could have written into a line itself never
passes for what the server said. The formats are documented in docs/sightings.md.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from inventory.formats import device_fields
from inventory.sightings.identifiers import LONGEST_ISSUER, DeviceSerial, Fingerprint, IssuerAndSerial, Sighting
from inventory.x509.serials import hexadecimal

LineReader = Callable[[str], Sighting | None]

_SHA256_DIGITS = 64
_MOST_SERIAL_DIGITS = 40
_LARGEST_EPOCH = 253_402_300_799  # 9999-12-31T23:59:59Z

_MOSQUITTO = re.compile(
    r"(?P<time>[0-9T:+.Z-]+): New client connected from \S+ as .*"
    rf" \(p[0-9]+, c[01], k[0-9]+, u'(?P<user>{device_fields.SERIAL.pattern})'\)\."
)
_PARAMETERS = re.compile(r"\(p[0-9]+, c[01], k[0-9]+")


def nginx(line: str) -> Sighting | None:
    """Read a line of the documented JSON log_format: only certificates that nginx verified count."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    # A certificate that nginx did not verify proves nothing: anybody makes one with that issuer and serial number.
    if not isinstance(fields, dict) or fields.get("verify") != "SUCCESS":
        return None
    at = _epoch(str(fields.get("msec", "")))
    fingerprint = hexadecimal(str(fields.get("fingerprint", "")))
    if at is None:
        return None
    # $ssl_client_fingerprint of nginx itself is a SHA-1, which names nothing in the inventory.
    if fingerprint is not None and len(fingerprint) == _SHA256_DIGITS:
        return Sighting(at, Fingerprint(bytes.fromhex(fingerprint)))
    issuer, serial = str(fields.get("issuer", "")), (hexadecimal(str(fields.get("serial", ""))) or "").lstrip("0")
    if not 1 <= len(issuer) <= LONGEST_ISSUER or not issuer.isprintable():
        return None
    if not 1 <= len(serial) <= _MOST_SERIAL_DIGITS:
        return None
    return Sighting(at, IssuerAndSerial(issuer, serial))


def mosquitto(fleet: str) -> LineReader:
    """Return a reader of Mosquitto's lines of connected clients whose user name comes from their certificate.

    That name is the common name, with the serial number of a device of `fleet`; the certificate itself is not logged.
    """

    def read(line: str) -> Sighting | None:
        found = _MOSQUITTO.fullmatch(line)
        # A client chooses its own id: two sets of parameters mean that one of them is part of the id.
        if found is None or len(_PARAMETERS.findall(line)) != 1:
            return None
        at = _epoch(found["time"]) or _iso(found["time"])
        return Sighting(at, DeviceSerial(fleet, found["user"])) if at else None

    return read


def _epoch(text: str) -> datetime | None:
    if not re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,6})?", text):
        return None
    seconds = Decimal(text)
    return datetime.fromtimestamp(float(seconds), UTC) if seconds <= _LARGEST_EPOCH else None


def _iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
