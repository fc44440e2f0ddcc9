"""Rows for tests, made through the product's own doors: authorities with real keys, certificates really signed."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission

from inventory.audit.record import SYSTEM, Actor
from inventory.issuing.authorities import AuthorityPlan, establish
from inventory.issuing.certificates import Admission, issue, issue_many
from inventory.models import Authority, Certificate, Device, DevicePresence, Fleet, Profile
from inventory.models.audit import ActorKind
from inventory.sightings import Sighting, record_sighting, record_sightings
from inventory.sightings.identifiers import Fingerprint
from inventory.x509.csr import CertificationRequest, parse
from tests import ready_authorities

DAY = timedelta(days=1)
# Tests stand on one moment; whatever needs another passes it.
NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)

_numbers = itertools.count(1)


@lru_cache(maxsize=1)
def spare_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def csr_der(
    private_key: ec.EllipticCurvePrivateKey,
    subject: x509.Name | str = "",
    alternative_names: Sequence[x509.GeneralName] = (),
) -> bytes:
    """Return a signed request for `subject` (a name, or the text of its common name)."""
    name = subject if isinstance(subject, x509.Name) else common_name(subject)
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if alternative_names:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternative_names), critical=False)
    return builder.sign(private_key, hashes.SHA256()).public_bytes(Encoding.DER)


def common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def certification_request(
    private_key: ec.EllipticCurvePrivateKey | None = None, subject: x509.Name | str = ""
) -> CertificationRequest:
    return parse(csr_der(private_key or key(), subject))


def root(slug: str = "root", *, now: datetime = NOW - 2000 * DAY) -> Authority:
    existing = Authority.objects.filter(slug=slug).first()
    plan = AuthorityPlan(slug, f"Test {slug}", "Test", 9000 * DAY, path_length=1)
    return existing or establish(plan, parent=None, now=now, actor=SYSTEM)


def authority(slug: str = "mfg-1", *, crl_shards: int = 1, now: datetime = NOW - 1900 * DAY) -> Authority:
    there = {each.slug: each for each in Authority.objects.order_by()}
    if slug in there:
        return there[slug]
    plan = AuthorityPlan(slug, f"Test {slug}", "Test", 6000 * DAY, path_length=0, crl_shards=crl_shards)

    def below_root() -> ready_authorities.Pair:
        above = there.get("root") or root()
        return above, establish(plan, parent=above, now=now, actor=SYSTEM)

    return (below_root() if there else ready_authorities.put_back(plan, now, establish=below_root))[1]


def chain_of_authorities(*slugs: str, now: datetime = NOW) -> list[Authority]:
    """Establish a root and, below it, authorities that were each signed by the one before."""
    levels: list[Authority] = []
    for depth, slug in enumerate(slugs):
        plan = AuthorityPlan(slug, slug.title(), "Test", (9000 - depth) * DAY, path_length=len(slugs) - 1 - depth)
        levels.append(establish(plan, parent=levels[-1] if levels else None, now=now - 2000 * DAY, actor=SYSTEM))
    return levels


def profile(slug: str = "meter", **changes: object) -> Profile:
    rules: dict[str, object] = {
        "name": slug,
        "validity": 365 * DAY,
        "jitter_max": timedelta(0),
        "renewal_window": 90 * DAY,
        **changes,
    }
    return (
        Profile.objects.update_or_create(slug=slug, defaults=rules)[0]
        if changes
        else (Profile.objects.get_or_create(slug=slug, defaults=rules)[0])
    )


def fleet(slug: str = "demo", **changes: object) -> Fleet:
    # With what issuing for its devices reads: a device is made on a fleet of its own reading.
    # In no order: to sort the one row of a slug costs Django as much as the rest of the question.
    found = Fleet.objects.filter(slug=slug).select_related("authority__certificate", "profile").order_by()
    if existing := next(iter(found), None):
        return existing
    values: dict[str, object] = {"name": slug, "authority": authority(), "profile": profile(), **changes}
    return Fleet.objects.create(slug=slug, **values)


def device(serial: str | None = None, **changes: object) -> Device:
    number = next(_numbers)
    values: dict[str, object] = {"registered_at": NOW - 1000 * DAY, **changes}
    if "fleet" not in values:
        values["fleet"] = fleet()
    return Device.objects.create(serial=serial or f"D{number:06}", **values)


def note_last_seen(moments: Mapping[Device, datetime | None]) -> None:
    """Let each device have been seen last at its moment, or never."""
    presences = [DevicePresence(device=device, last_seen_at=at) for device, at in moments.items()]
    DevicePresence.objects.bulk_update(presences, ["last_seen_at"])


def person(name: str, *permissions: str, **changes: object) -> Actor:
    """Return who acts as the account `name`, made with `permissions` (codenames) when there is none."""
    users = get_user_model().objects
    user = users.filter(username=name).first() or users.create_user(name, **changes)
    user.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
    return Actor(ActorKind.USER, name, user_id=user.pk)


def investigator(name: str) -> Actor:
    """Return somebody who may open cases and decide on those of others."""
    return person(name, "add_case", "decide_case")


@dataclass(frozen=True)
class Enrolled:
    """A device with a certificate and the key that only the device has."""

    device: Device
    certificate: Certificate
    private_key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return bytes(self.certificate.der)

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.der).digest()

    def renewal_request(self, new_key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
        """Return the request (DER) of a well-behaved device: a new key, the same names."""
        return csr_der(new_key or key(), self.certificate.x509.subject)


def enrolled(
    device_: Device | None = None, *, expires_in: timedelta = 30 * DAY, now: datetime = NOW, used: bool = True
) -> Enrolled:
    """Return a device whose certificate ends `expires_in` after `now`, issued when its profile says it must have been.

    With `used` the device has authenticated with it since, a day after it was issued.
    """
    device_ = device_ or device()
    private_key = key()
    rules = device_.fleet.profile
    certificate = issue(
        Admission(device_, rules, device_.fleet.authority, certification_request(private_key), SYSTEM),
        now=now + expires_in - rules.validity,
    )
    if used:
        record_sighting(certificate, device_, now=certificate.issued_at + DAY, actor=SYSTEM)
        certificate.refresh_from_db()
    return Enrolled(device_, certificate, private_key)


def enrolled_many(devices: Sequence[Device], *, expires_in: timedelta = 30 * DAY, now: datetime = NOW) -> None:
    """Enrol devices of one fleet as `enrolled` does, in a few statements for all of them."""
    fleet_ = devices[0].fleet
    rules, issuer = fleet_.profile, fleet_.authority
    issued_at = now + expires_in - rules.validity
    requests = [certification_request() for _ in devices]
    made = issue_many(
        [
            Admission(device_, rules, issuer, request, SYSTEM)
            for device_, request in zip(devices, requests, strict=True)
        ],
        issued_at,
    )
    seen = [Sighting(issued_at + DAY, Fingerprint(bytes(certificate.sha256))) for certificate in made]
    record_sightings(seen, issued_at + DAY, SYSTEM)
