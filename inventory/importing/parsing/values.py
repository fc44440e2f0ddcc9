"""Converts cells to values of the inventory. Pure: text in; a value, or BadValue with the reason, out."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from inventory.formats import device_fields

_PHONE_PUNCTUATION = re.compile(r"[\s()./-]+")
# The trunk prefix: dialled at home, and not behind a country code (E.123 7.1).
_TRUNK_PREFIX = re.compile(r"\(\s*0\s*\)")
# float() reads more: 1_0, the digits of other scripts, inf.
_DEGREES = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_EPOCH = re.compile(r"-?[0-9]{1,13}(?:\.[0-9]{1,9})?")
_ASN1_TIME = re.compile(r"([0-9]{14})Z?")
_ZONE_NAME = re.compile(r"[0-9]\s*[A-Za-z]{2,}(?:/[A-Za-z_]+)?$")
# Seconds since 1970 reach this in the year 5138; what is larger counts milliseconds.
_LARGEST_IN_SECONDS = 100_000_000_000
# And this in March 1973; what is smaller is a year, or the number of a day as spreadsheets count them.
_SMALLEST_IN_SECONDS = 100_000_000
_MOST_NAME = 100
_SHOWN = 40

CONNECTIVITY = frozenset({"always_on", "daily", "intermittent"})
STATUS = frozenset({"in_service", "suspended", "retired"})
_REVOKED = frozenset({"revoked", "revoke", "r", "true", "t", "1", "yes", "y"})
_NOT_REVOKED = frozenset(
    {"", "valid", "v", "active", "good", "issued", "confirmed", "expired", "e", "unknown", "none", "null"}
    | {"false", "f", "0", "no", "n", "inactive", "notrevoked"}
)
UNSPECIFIED = "unspecified"
_REASONS = {
    reason.lower(): reason
    for reason in (
        UNSPECIFIED,
        "keyCompromise",
        "cACompromise",
        "affiliationChanged",
        "superseded",
        "cessationOfOperation",
        "privilegeWithdrawn",
    )
}
# Unsupported reasons are kept as unspecified: a hold may be lifted, and we have no attribute authority.
_REASONS |= {"certificatehold": UNSPECIFIED, "aacompromise": UNSPECIFIED, "": UNSPECIFIED}
# RFC 5280 5.3.1: the numbers of the reasons; 7 is not used, 8 takes an entry off a CRL.
_REASON_NUMBERS = {
    "0": UNSPECIFIED, "1": "keyCompromise", "2": "cACompromise", "3": "affiliationChanged", "4": "superseded",
    "5": "cessationOfOperation", "6": UNSPECIFIED, "9": "privilegeWithdrawn", "10": UNSPECIFIED,
}  # fmt: skip


class BadValue(ValueError):
    """A cell that the inventory cannot keep."""


def shown(text: str) -> str:
    """Return a value as a reason quotes it: short, on one line."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def device_serial(text: str) -> str:
    """Return the serial number of a device, unchanged. Raises BadValue."""
    if device_fields.SERIAL.fullmatch(text):
        return text
    if len(text) > device_fields.LONGEST_SERIAL:
        raise BadValue(
            f"The device serial has {len(text):,} characters; at most {device_fields.LONGEST_SERIAL} are allowed."
        )
    raise BadValue(f"{shown(text)} is no device serial: letters, digits, '.', '_' and '-', a letter or digit first.")


def name(text: str, what: str) -> str:
    """Return the name of a site or batch, unchanged. Raises BadValue if it is too long."""
    if len(text) > _MOST_NAME:
        raise BadValue(f"The {what} has {len(text):,} characters; at most {_MOST_NAME} are kept.")
    return text


def mqtt_id(text: str) -> str:
    """Return an MQTT client id, or an empty string. Raises BadValue."""
    if not text or device_fields.MQTT_ID.fullmatch(text):
        return text
    most = device_fields.LONGEST_MQTT_ID
    raise BadValue(f"{shown(text)} is no MQTT client id: at most {most} letters, digits, '.', '_', ':' and '-'.")


def phone_number(text: str) -> str:
    """Return a phone number in E.164, or an empty string. Punctuation is removed. Raises BadValue."""
    if "+" in text and _TRUNK_PREFIX.search(text):
        raise BadValue(f"{shown(text)} has a (0), which is not dialled behind a country code; leave it out.")
    number = _PHONE_PUNCTUATION.sub("", text)
    if not number or device_fields.PHONE_NUMBER.fullmatch(number):
        return number
    raise BadValue(f"{shown(text)} is no phone number in E.164, for example +60123456789.")


@lru_cache(maxsize=1024)
def choice(text: str, allowed: frozenset[str], what: str, default: str) -> str:
    """Return the member of `allowed` that `text` spells, `default` if it is empty. Raises BadValue."""
    word = text.lower().replace(" ", "_").replace("-", "_")
    if not word:
        return default
    if word in allowed:
        return word
    raise BadValue(f"{shown(text)} is no {what}; known are {', '.join(sorted(allowed))}.")


def coordinate(text: str, limit: int, what: str) -> float | None:
    """Return decimal degrees from `-limit` to `limit`, None if empty. Raises BadValue."""
    if not text:
        return None
    if not _DEGREES.fullmatch(text):
        raise BadValue(f"{shown(text)} is no {what} in decimal degrees.")
    degrees = float(text)
    if not -limit <= degrees <= limit:
        raise BadValue(f"The {what} {shown(text)} is not between -{limit} and {limit}.")
    return degrees


def moment(text: str, what: str) -> datetime | None:
    """Return a time in UTC: ISO 8601, seconds or milliseconds since 1970, or ASN.1. Without a zone it is UTC."""
    if not text:
        return None
    try:
        found = _moment(text)
    except BadValue:
        raise
    except (ValueError, OverflowError):
        if _ZONE_NAME.search(text):
            raise BadValue(f"{shown(text)} names its time zone; write {what} with an offset, as in +01:00.") from None
        raise BadValue(f"{shown(text)} is no time for {what}; ISO 8601 is read, as in 2027-03-01T12:00:00Z.") from None
    if not 1970 <= found.year <= 9999:
        raise BadValue(f"{what.capitalize()} is in the year {found.year}; times from 1970 on are kept.")
    return found


def _moment(text: str) -> datetime:
    if _EPOCH.fullmatch(text) and not (len(text) == 8 and text.isdigit()):  # eight digits are a date, 20270301
        number = float(text)
        if number < _SMALLEST_IN_SECONDS:
            raise BadValue(
                f"{shown(text)} is no time: a year, or a day as spreadsheets count them? ISO 8601 is read, as in "
                "2027-03-01T12:00:00Z, and seconds or milliseconds since 1970."
            )
        seconds = number / 1000 if number >= _LARGEST_IN_SECONDS else number
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    if match := _ASN1_TIME.fullmatch(text):
        return datetime.strptime(match[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def is_revoked(text: str) -> bool:
    """Return whether a cell means that the certificate is revoked. Raises BadValue for an unknown word."""
    word = text.lower().replace("_", "").replace(" ", "")
    if word in _NOT_REVOKED:
        return False
    if word in _REVOKED:
        return True
    raise BadValue(f"{shown(text)} is no state of a certificate; write revoked or valid.")


def revocation_reason(text: str) -> str:
    """Return the reason by its RFC 5280 name, from that name in any spelling or from its number."""
    word = text.lower().replace("_", "").replace(" ", "").replace("-", "")
    found = _REASONS.get(word) or _REASON_NUMBERS.get(text)
    if found is None:
        raise BadValue(f"{shown(text)} is no reason for a revocation (RFC 5280 5.3.1).")
    return found
