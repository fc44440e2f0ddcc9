"""The fleet as it stands when the campaign is planned: devices, and certificates signed by the door years ago."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import connection

from inventory.audit.record import SYSTEM
from inventory.issuing.authorities import AuthorityPlan, establish
from inventory.issuing.certificates import Admission, issue_many
from inventory.models import Authority, Batch, Connectivity, Device, Fleet, Profile, Site
from inventory.sightings import Sighting, record_sightings
from inventory.sightings.identifiers import Fingerprint
from inventory.x509.csr import parse
from renewal.simulation.fleet.crew import Crew
from renewal.simulation.fleet.meters import Meters
from renewal.simulation.fleet.scenario import Scenario

T = TypeVar("T", Site, Batch)
SLUG = "simulated"
AT_ONCE = 2000
_DAY = timedelta(days=1)
_SERIAL = "SIM"
# What is dear to read in a table of millions that the planner takes for empty.
_TABLES = ("inventory_device", "inventory_devicepresence", "inventory_certificate", "inventory_auditevent")


def serial_of(meter: int) -> str:
    return f"{_SERIAL}{meter:08}"


def number_of(serial: str) -> int:
    return int(serial.removeprefix(_SERIAL))


def new_request(subject: x509.Name) -> bytes:
    """Return a request (DER) for a new P-256 key."""
    key = ec.generate_private_key(ec.SECP256R1())
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


@dataclass(frozen=True)
class _Block:
    numbers: range
    scenario: Scenario
    seed: int
    issued_at: datetime


def plant(devices: int, scenario: Scenario, seed: int, start: datetime, crew: Crew) -> Fleet:
    """Make the fleet. The first certificate ends `lead_days` after `start`, the last `expiry_spread_days` later."""
    validity = timedelta(days=scenario.validity_days)
    issued_at = start + timedelta(days=scenario.lead_days) - validity
    authority = _authority(issued_at - 10 * _DAY, validity)
    profile = Profile.objects.create(
        slug=SLUG,
        name="Simulated meters",
        validity=validity,
        # Of the seed alone: the ends of certificates are spread by when they are issued.
        jitter_max=timedelta(0),
        renewal_window=timedelta(days=scenario.lead_days + scenario.expiry_spread_days),
        subject_template="CN={serial},O=Simulated",
    )
    fleet = Fleet.objects.create(slug=SLUG, name="Simulated meters", authority=authority, profile=profile)
    meters, last = Meters(scenario, seed), devices - 1
    Site.objects.bulk_create(Site(fleet=fleet, name=_name(number)) for number in range(meters.site(last) + 1))
    Batch.objects.bulk_create(Batch(fleet=fleet, name=_name(number)) for number in range(meters.batch(last) + 1))
    spread = timedelta(days=scenario.expiry_spread_days)
    first, *others = (
        _Block(numbers, scenario, seed, issued_at + numbers.start / devices * spread) for numbers in _blocks(devices)
    )
    _plant(first)
    _analyse()
    crew.each(_plant, others)
    _analyse()
    return fleet


def _plant(block: _Block) -> None:
    meters, numbers = Meters(block.scenario, block.seed), block.numbers
    fleet = Fleet.objects.select_related("profile", "authority__certificate").get(slug=SLUG)
    sites = _named(Site, fleet, {meters.site(number) for number in numbers})
    batches = _named(Batch, fleet, {meters.batch(number) for number in numbers})
    made = Device.objects.bulk_create(
        Device(
            fleet=fleet,
            serial=serial_of(number),
            site=sites[meters.site(number)],
            batch=batches[meters.batch(number)],
            mqtt_id=f"sim-{number}",
            phone_number=f"+6011{number:08}",
            connectivity=Connectivity.INTERMITTENT if meters.sleeps_deep(number) else Connectivity.DAILY,
            registered_at=block.issued_at,
        )
        for number in numbers
    )
    _issue(made, block.issued_at)


def _authority(made_at: datetime, validity: timedelta) -> Authority:
    root = AuthorityPlan("root", "Simulated Root CA", "certportal", validity=4 * validity, path_length=1)
    issuing = AuthorityPlan("issuing", "Simulated Issuing CA", "certportal", validity=3 * validity, path_length=0)
    return establish(issuing, parent=establish(root, parent=None, now=made_at, actor=SYSTEM), now=made_at, actor=SYSTEM)


def _name(number: int) -> str:
    return f"{number:05}"


def _named(model: type[T], fleet: Fleet, numbers: Iterable[int]) -> dict[int, T]:
    return {int(each.name): each for each in model.objects.filter(fleet=fleet, name__in=map(_name, numbers))}


def _blocks(devices: int) -> Iterator[range]:
    for first in range(0, devices, AT_ONCE):
        yield range(first, min(first + AT_ONCE, devices))


def _issue(devices: Sequence[Device], issued_at: datetime) -> None:
    """Give devices their first certificates, and let them use these a day later."""
    admissions = [
        Admission(device, device.fleet.profile, device.fleet.authority, parse(new_request(x509.Name([]))), SYSTEM)
        for device in devices
    ]
    used_at = issued_at + _DAY
    seen = [Sighting(used_at, Fingerprint(bytes(each.sha256))) for each in issue_many(admissions, issued_at)]
    record_sightings(seen, used_at, SYSTEM)


def _analyse() -> None:
    with connection.cursor() as cursor:
        for table in _TABLES:
            cursor.execute(f"ANALYZE {table}")
