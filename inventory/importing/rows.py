"""One record made into what is staged: a device, a certificate, or both. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from inventory.importing import certificates, values
from inventory.importing.certificates import Facts, Unreadable
from inventory.importing.values import BadValue
from inventory.importing.vocabulary import Link, Target

Cells = Mapping[Target, str | bytes]


@dataclass(frozen=True, slots=True)
class DeviceRow:
    fleet_id: int
    serial: str
    site: str = ""
    batch: str = ""
    latitude: float | None = None
    longitude: float | None = None
    mqtt_id: str = ""
    phone_number: str = ""
    connectivity: str = "daily"
    status: str = "in_service"
    last_seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CertificateRow:
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


@dataclass(slots=True)
class Row:
    device: DeviceRow | None
    certificates: list[CertificateRow] = field(default_factory=list)


def row(cells: Cells, rules: Rules) -> Row:
    """Return what one record says. Raises BadValue or Unreadable with the reason; then nothing of it is used."""
    found = (
        [certificates.read(der) for der in certificates.decode(blob)] if (blob := cells.get(Target.CERTIFICATE)) else []
    )
    serial = _text(cells, Target.DEVICE_SERIAL)
    if not serial and found and found[0].authority is None:
        serial = linked_serial(found[0].parsed, rules.link)
    if not serial and not found:
        raise BadValue("The row names no device and holds no certificate.")
    device = _device(values.device_serial(serial), cells, rules) if serial else None
    holder = (device.fleet_id, device.serial) if device else None
    made = [_certificate(found[0], None if found[0].authority else holder, cells, rules)] if found else []
    # What stands behind the first in one cell is its chain.
    made += [_in_chain(facts) for facts in found[1:]]
    if chain := cells.get(Target.CHAIN):
        made += [_in_chain(certificates.read(der)) for der in certificates.decode(chain)]
    return Row(device, made)


def linked_serial(certificate: x509.Certificate, link: Link) -> str:
    match link:
        case Link.COLUMN:
            return ""
        case Link.COMMON_NAME:
            return certificates.common_name(certificate)
        case Link.SUBJECT_SERIAL:
            return certificates.subject_serial(certificate)
        case Link.SAN_DNS:
            return certificates.alternative_name(certificate, x509.DNSName).partition(".")[0]
        case Link.SAN_URI:
            return certificates.alternative_name(certificate, x509.UniformResourceIdentifier).rpartition(":")[2]


def _text(cells: Cells, target: Target) -> str:
    value = cells.get(target)
    if not value:
        return ""
    if isinstance(value, bytes):
        raise BadValue(f"{target.value} is not text.")
    if "\0" in value:
        raise BadValue(f"{target.value} holds a NUL character, which no text of the inventory can hold.")
    return value.strip()


def _device(serial: str, cells: Cells, rules: Rules) -> DeviceRow:
    latitude = values.coordinate(_text(cells, Target.LATITUDE), 90, "latitude")
    longitude = values.coordinate(_text(cells, Target.LONGITUDE), 180, "longitude")
    if (latitude is None) is not (longitude is None):
        raise BadValue("Latitude and longitude stand together: one of them is empty.")
    return DeviceRow(
        fleet_id=_fleet(_text(cells, Target.FLEET), rules),
        serial=serial,
        site=values.name(_text(cells, Target.SITE), "name of the site"),
        batch=values.name(_text(cells, Target.BATCH), "name of the batch"),
        latitude=latitude,
        longitude=longitude,
        mqtt_id=values.mqtt_id(_text(cells, Target.MQTT_ID)),
        phone_number=values.phone_number(_text(cells, Target.PHONE_NUMBER)),
        connectivity=values.choice(
            _text(cells, Target.CONNECTIVITY), values.CONNECTIVITY, "connectivity class", "daily"
        ),
        status=values.choice(_text(cells, Target.STATUS), values.STATUS, "status of a device", "in_service"),
        last_seen_at=_past(values.moment(_text(cells, Target.LAST_SEEN), "last seen"), "last seen", rules),
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


def _certificate(facts: Facts, holder: tuple[int, str] | None, cells: Cells, rules: Rules) -> CertificateRow:
    issued_at = values.moment(_text(cells, Target.ISSUED), "the time of issue") or facts.not_before
    revoked_at = _past(
        values.moment(_text(cells, Target.REVOKED_AT), "the time of revocation"), "the time of revocation", rules
    )
    revoked = revoked_at is not None
    if Target.STATE in cells:
        revoked = values.is_revoked(_text(cells, Target.STATE))
    if not revoked:
        return CertificateRow(facts, holder, issued_at)
    reason = values.revocation_reason(_text(cells, Target.REVOCATION_REASON))
    return CertificateRow(facts, holder, issued_at, revoked_at or rules.now, reason)


def _in_chain(facts: Facts) -> CertificateRow:
    if facts.authority is None:
        raise Unreadable("The chain holds a certificate that is no authority's.")
    return CertificateRow(facts, None, facts.not_before)


def _past(moment: datetime | None, what: str, rules: Rules) -> datetime | None:
    if moment is not None and moment > rules.now:
        raise BadValue(f"{what[0].upper()}{what[1:]} is in the future: {moment:%Y-%m-%d %H:%M} UTC.")
    return moment
