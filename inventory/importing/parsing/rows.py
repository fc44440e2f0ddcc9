"""Converts one record to staged rows: a device, a certificate, or both. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from inventory.formats.imports import Link, Target
from inventory.importing.parsing import certificates, values
from inventory.importing.parsing.certificates import Facts, Unreadable
from inventory.importing.parsing.values import BadValue

_CERTIFICATES = (Target.CERTIFICATE, Target.CHAIN)
Cells = Mapping[Target, str | bytes]
Texts = Mapping[Target, str]


class DeviceRow(NamedTuple):
    fleet_id: int
    serial: str
    site: str = ""
    batch: str = ""
    latitude: float | None = None
    longitude: float | None = None
    mqtt_id: str = ""
    phone_number: str = ""
    # Empty: as before, or daily where the device is new.
    connectivity: str = ""
    status: str = "in_service"
    last_seen_at: datetime | None = None


class CertificateRow(NamedTuple):
    facts: Facts
    # The device that holds it, by fleet and serial; None: it is only tracked.
    holder: tuple[int, str] | None
    issued_at: datetime
    revoked_at: datetime | None = None
    revocation_reason: str = ""


@dataclass(frozen=True)
class Rules:
    """What holds for a whole import. `fleets` are known by their slugs; `now` dates a revocation without a date."""

    fleets: Mapping[str, int]
    now: datetime
    default_fleet: int | None = None
    link: Link = Link.COLUMN


class RefusedInChain(NamedTuple):
    """A certificate in a chain that is rejected. `mark` identifies it wherever the chain is repeated."""

    mark: int
    reason: str


class Row(NamedTuple):
    device: DeviceRow | None
    certificates: list[CertificateRow]
    refused: list[RefusedInChain]


def row(cells: Cells, rules: Rules) -> Row:
    """Return what one record says. Raises BadValue or Unreadable with the reason; then nothing of it is used.

    What is wrong in its chain costs no more than that: the device and its certificate are taken.
    """
    blobs = certificates.decode(blob) if (blob := cells.get(Target.CERTIFICATE)) else []
    found = certificates.read(blobs[0]) if blobs else None
    texts = _texts(cells)
    serial = texts.get(Target.DEVICE_SERIAL, "")
    if not serial and found and found.authority is None:
        serial = linked_serial(found, rules.link)
    if not serial and not found:
        raise BadValue("The row names no device and holds no certificate.")
    device = _device(values.device_serial(serial), texts, rules) if serial else None
    holder = (device.fleet_id, device.serial) if device else None
    made = [_certificate(found, None if found.authority else holder, texts, rules)] if found else []
    # What stands behind the first in one cell is its chain.
    above, refused = _chain(blobs[1:], cells.get(Target.CHAIN, ""))
    return Row(device, made + above, refused)


def _chain(behind: list[bytes], cell: str | bytes) -> tuple[list[CertificateRow], list[RefusedInChain]]:
    made, refused = [], []
    try:
        behind = behind + certificates.decode(cell) if cell else behind
    except Unreadable as problem:
        refused.append(RefusedInChain(hash(cell), f"In its chain: {problem}"))
    for der in behind:
        try:
            made.append(_in_chain(certificates.read(der)))
        except Unreadable as problem:
            refused.append(RefusedInChain(hash(der), f"In its chain: {problem}"))
    return made, refused


def linked_serial(facts: Facts, link: Link) -> str:
    match link:
        case Link.COLUMN:
            return ""
        case Link.COMMON_NAME:
            return certificates.common_name(facts)
        case Link.SUBJECT_SERIAL:
            return certificates.subject_serial(facts)
        case Link.SAN_DNS:
            return certificates.dns_name(facts).partition(".")[0]
        case Link.SAN_URI:
            return certificates.uri(facts).rpartition(":")[2]


def _texts(cells: Cells) -> Texts:
    """Return the cells that are text: all but the certificates."""
    texts = {}
    for target, value in cells.items():
        if target in _CERTIFICATES:
            continue
        if isinstance(value, bytes):
            raise BadValue(f"{target.value} is not text.")
        if "\0" in value:
            raise BadValue(f"{target.value} holds a NUL character, which no text of the inventory can hold.")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise BadValue(f"{target.value} holds half of a surrogate pair, which is no character.")
        texts[target] = value.strip()
    return texts


def _device(serial: str, texts: Texts, rules: Rules) -> DeviceRow:
    latitude = values.coordinate(texts.get(Target.LATITUDE, ""), 90, "latitude")
    longitude = values.coordinate(texts.get(Target.LONGITUDE, ""), 180, "longitude")
    if (latitude is None) is not (longitude is None):
        raise BadValue("Latitude and longitude stand together: one of them is empty.")
    return DeviceRow(
        fleet_id=_fleet(texts.get(Target.FLEET, ""), rules),
        serial=serial,
        site=values.name(texts.get(Target.SITE, ""), "name of the site"),
        batch=values.name(texts.get(Target.BATCH, ""), "name of the batch"),
        latitude=latitude,
        longitude=longitude,
        mqtt_id=values.mqtt_id(texts.get(Target.MQTT_ID, "")),
        phone_number=values.phone_number(texts.get(Target.PHONE_NUMBER, "")),
        connectivity=values.choice(texts.get(Target.CONNECTIVITY, ""), values.CONNECTIVITY, "connectivity class", ""),
        status=values.choice(texts.get(Target.STATUS, ""), values.STATUS, "status of a device", "in_service"),
        last_seen_at=_past(values.moment(texts.get(Target.LAST_SEEN, ""), "last seen"), "last seen", rules),
    )


def _fleet(slug: str, rules: Rules) -> int:
    if not slug:
        if rules.default_fleet is None:
            raise BadValue("The row names no fleet, and the import none for all rows.")
        return rules.default_fleet
    found = rules.fleets.get(slug)
    if found is None:
        raise BadValue(f"There is no fleet {values.shown(slug)}; make it first, or correct the label.")
    return found


def _certificate(facts: Facts, holder: tuple[int, str] | None, texts: Texts, rules: Rules) -> CertificateRow:
    issued_at = values.moment(texts.get(Target.ISSUED, ""), "the time of issue") or facts.not_before
    revoked_at = _past(
        values.moment(texts.get(Target.REVOKED_AT, ""), "the time of revocation"), "the time of revocation", rules
    )
    revoked = revoked_at is not None
    if Target.STATE in texts:
        revoked = values.is_revoked(texts.get(Target.STATE, ""))
    if not revoked:
        return CertificateRow(facts, holder, issued_at)
    reason = values.revocation_reason(texts.get(Target.REVOCATION_REASON, ""))
    return CertificateRow(facts, holder, issued_at, revoked_at or rules.now, reason)


def _in_chain(facts: Facts) -> CertificateRow:
    if facts.authority is None:
        raise Unreadable(f"{values.shown(facts.subject)} is no authority.")
    return CertificateRow(facts, None, facts.not_before)


def _past(moment: datetime | None, what: str, rules: Rules) -> datetime | None:
    if moment is not None and moment > rules.now:
        raise BadValue(f"{what[0].upper()}{what[1:]} is in the future: {moment:%Y-%m-%d %H:%M} UTC.")
    return moment
