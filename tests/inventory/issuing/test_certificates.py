"""The door: what it signs, it stores and audits, and every certificate says what RFC 5280 wants of its kind."""

import hashlib
import ipaddress
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from django.db import DatabaseError, IntegrityError, connection, transaction
from pkilint.bin import lint_pkix_cert, lint_pkix_signer_signee_cert_chain

from inventory.audit.record import SYSTEM, Actor
from inventory.issuing.authorities import AuthorityPlan, chain, establish
from inventory.issuing.certificates import (
    Admission,
    InfrastructureRequest,
    ProfileUnusable,
    issue,
    issue_infrastructure,
    issue_many,
)
from inventory.issuing.keys.software import KeyUnavailable, generate
from inventory.issuing.lifetimes import IssuerTooOld
from inventory.models import AuditAction, AuditEvent, Authority, Certificate, Device, Purpose
from inventory.models.audit import ActorKind
from inventory.x509.csr import parse
from inventory.x509.keys import KeyType
from tests.factories import DAY, NOW, authority, certification_request, csr_der, device, fleet, key, profile, root

pytestmark = pytest.mark.django_db
PROGRAMS = Path(sys.executable).parent
KINDS = [KeyType.EC_P256, KeyType.EC_P384, KeyType.ED25519, KeyType.RSA_2048]


def admission(kind: KeyType = KeyType.EC_P256, *, device_=None, request=None) -> Admission:
    device_ = device_ or device()
    request = request or parse(_request(kind))
    return Admission(device_, device_.fleet.profile, device_.fleet.authority, request, SYSTEM)


def _request(kind: KeyType) -> bytes:
    algorithm = None if kind is KeyType.ED25519 else hashes.SHA256()
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(generate(kind), algorithm).public_bytes(Encoding.DER)


def device_certificate(kind: KeyType = KeyType.EC_P256) -> Certificate:
    profile(san_templates=["DNS:{serial}.meters.example", "URI:https://meters.example/{serial}"])
    return issue(admission(kind), NOW)


def infrastructure(purpose: Purpose, *, hosts: tuple[str, ...] = ()) -> Certificate:
    request = InfrastructureRequest(purpose, key().public_key(), f"certportal {purpose}", 30 * DAY, hosts)
    return issue_infrastructure(request, authority(), now=NOW, actor=SYSTEM)


def tls_server() -> Certificate:
    return infrastructure(Purpose.TLS_SERVER, hosts=("est.example", "127.0.0.1", "::1"))


def ocsp_signer() -> Certificate:
    return infrastructure(Purpose.OCSP_SIGNER)


def _of(authority_: Authority) -> Certificate:
    assert authority_.certificate
    return authority_.certificate


EVERY_KIND: dict[str, Callable[[], Certificate]] = {
    **{f"device {kind}": partial(device_certificate, kind) for kind in KINDS},
    "TLS server": tls_server,
    "OCSP signer": ocsp_signer,
    "issuing CA": lambda: _of(authority()),
    "root": lambda: _of(root()),
}


def value(certificate: Certificate, kind):
    return certificate.x509.extensions.get_extension_for_class(kind).value


def critical(certificate: Certificate) -> set[str]:
    return {extension.oid._name for extension in certificate.x509.extensions if extension.critical}


def test_what_is_stored_is_what_was_signed():
    stored = Certificate.objects.get(pk=device_certificate().pk)
    der = bytes(stored.der)
    certificate = x509.load_der_x509_certificate(der)
    assert int(stored.serial, 16) == certificate.serial_number
    assert (stored.not_before, stored.not_after) == (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    assert bytes(stored.sha256) == hashlib.sha256(der).digest()
    assert stored.subject == certificate.subject.rfc4514_string()
    assert stored.issued_at == NOW
    assert stored.not_before == NOW - timedelta(hours=1)
    assert stored.not_after == NOW + 365 * DAY


@pytest.mark.parametrize("microsecond", [0, 1, 999_999])
def test_dates_of_row_and_certificate_agree_at_any_microsecond(microsecond):
    profile(validity=timedelta(days=365, microseconds=1), renewal_window=30 * DAY)
    stored = issue(admission(), NOW.replace(microsecond=microsecond))
    assert (stored.not_before, stored.not_after) == (
        stored.x509.not_valid_before_utc,
        stored.x509.not_valid_after_utc,
    )


def test_each_certificate_has_one_audit_event_that_names_it():
    certificate = device_certificate()
    event = AuditEvent.objects.get(certificate=certificate)
    assert event.action == AuditAction.CERTIFICATE_ENROLLED
    assert (event.at, event.device_id, event.object_name) == (NOW, certificate.device_id, certificate.subject)
    assert event.details == {
        "serial": certificate.serial,
        "issuer": "mfg-1",
        "profile": "meter",
        "not_after": certificate.not_after.isoformat(),
    }


def test_many_take_three_statements_and_one_takes_two(django_assert_num_queries):
    demo = fleet()
    demo.authority.x509  # noqa: B018 - read before we count
    admissions = [admission(device_=device(fleet=demo)) for _ in range(25)]
    with django_assert_num_queries(3):  # the numbers, certificates, audit events
        certificates = issue_many(admissions, NOW)
    assert [certificate.device for certificate in certificates] == [each.device for each in admissions]
    assert len({certificate.serial for certificate in certificates}) == 25
    with django_assert_num_queries(2):
        issue(admissions[0], NOW)
    with django_assert_num_queries(0):
        assert issue_many([], NOW) == []


@pytest.mark.parametrize("number", [1, 2], ids=["inserted", "copied"])
def test_every_column_of_the_rows_is_what_was_signed(number):
    profile(jitter_max=30 * DAY, validity=timedelta(days=365, seconds=7))
    actor = Actor(ActorKind.USER, "Größe", "2001:db8::7")
    renewed = [issue(admission(), NOW - DAY) for _ in range(number)]
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        issued = issue_many(
            [replace(admission(device_=each.device), predecessor=each, actor=actor) for each in renewed],
            NOW + timedelta(microseconds=123_456),
        )
    for certificate, predecessor in zip(issued, renewed, strict=True):
        assert not certificate._state.adding
        stored = Certificate.objects.get(pk=certificate.pk)
        for field in Certificate._meta.concrete_fields:
            value = getattr(certificate, field.attname)
            assert getattr(stored, field.attname) == value, field
        assert stored.predecessor == predecessor
        told = AuditEvent.objects.get(certificate=stored)
        assert (told.action, told.actor_kind, told.actor) == (AuditAction.CERTIFICATE_RENEWED, ActorKind.USER, "Größe")
        assert (told.source_address, told.request_id, told.at) == ("2001:db8::7", "r-1", stored.issued_at)
        assert (told.device, told.object_name) == (stored.device, stored.subject)
        assert told.details["renewal_of"] == predecessor.serial


@pytest.mark.parametrize("number", [1, 2], ids=["inserted", "copied"])
def test_one_renewal_for_a_key_and_the_database_says_so(number):
    waiting = [replace(admission(device_=each.device), predecessor=each) for each in _issued(number)]
    issue_many(waiting, NOW)
    with pytest.raises(IntegrityError, match="certificate_one_renewal_for_a_key"), transaction.atomic():
        issue_many(waiting, NOW)


def _issued(number: int) -> list[Certificate]:
    return issue_many([admission() for _ in range(number)], NOW - DAY)


def test_jitter_spreads_a_batch_over_its_range():
    profile(jitter_max=30 * DAY)
    ends = [certificate.not_after - NOW for certificate in issue_many([admission() for _ in range(60)], NOW)]
    assert all(365 * DAY <= span <= 395 * DAY for span in ends)
    assert len({span.days for span in ends}) > 15


@pytest.mark.parametrize(
    ("break_it", "error"),
    [
        (lambda each: setattr(each.profile, "subject_template", "CN={owner}"), ProfileUnusable),
        (lambda each: setattr(each.authority, "key_name", "lost"), KeyUnavailable),
        (lambda each: setattr(each.authority, "x509", _ended()), IssuerTooOld),
    ],
    ids=["template", "key", "issuer"],
)
def test_nothing_of_a_batch_is_stored_when_one_of_it_cannot_be_signed(break_it, error):
    good, bad = admission(), admission(device_=_alone())
    break_it(bad)
    before = AuditEvent.objects.count()
    with pytest.raises(error):
        issue_many([good, bad], NOW)
    assert not Certificate.objects.of_devices().exists()
    assert AuditEvent.objects.count() == before


def _ended() -> x509.Certificate:
    return authority("ended", now=NOW - 6000 * DAY).x509


def _alone() -> Device:
    """Return a device that shares no row in memory with any other."""
    return Device.objects.select_related("fleet__profile", "fleet__authority__certificate").get(pk=device().pk)


@pytest.mark.django_db(transaction=True)
def test_a_certificate_that_cannot_be_audited_is_not_stored():
    ready = admission()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE inventory_auditevent ADD CONSTRAINT full_disk CHECK (device_id IS NULL) NOT VALID")
    try:
        with pytest.raises(DatabaseError):
            issue(ready, NOW)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE inventory_auditevent DROP CONSTRAINT full_disk")
    assert not Certificate.objects.of_devices().exists()


def test_the_shard_in_the_row_is_the_shard_in_the_certificate():
    sharded = authority("sharded", crl_shards=4)
    new = device(fleet=fleet("sharded", authority=sharded))
    certificates = issue_many([admission(device_=new) for _ in range(40)], NOW)
    assert {certificate.crl_shard for certificate in certificates} == {0, 1, 2, 3}
    for certificate in certificates:
        [point] = value(certificate, x509.CRLDistributionPoints)
        assert point.full_name[0].value.endswith(f"/crl/sharded/{certificate.crl_shard}.crl")


# --- What RFC 5280 wants, field by field ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_certificate_is_version_3_with_the_name_and_key_of_its_issuer(kind):
    certificate = EVERY_KIND[kind]()
    issuer = certificate.authority.x509
    assert certificate.x509.version == x509.Version.v3
    assert certificate.x509.issuer == issuer.subject
    own = value(certificate, x509.SubjectKeyIdentifier)
    assert own == x509.SubjectKeyIdentifier.from_public_key(certificate.x509.public_key())
    issuers = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert value(certificate, x509.AuthorityKeyIdentifier).key_identifier == issuers.digest
    certificate.x509.verify_directly_issued_by(issuer)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_exactly_constraints_and_key_usage_are_critical(kind):
    assert critical(EVERY_KIND[kind]()) == {"basicConstraints", "keyUsage"}


@pytest.mark.parametrize("kind", [name for name in EVERY_KIND if name not in ("issuing CA", "root")])
def test_no_end_entity_may_sign_certificates(kind):
    certificate = EVERY_KIND[kind]()
    assert value(certificate, x509.BasicConstraints) == x509.BasicConstraints(ca=False, path_length=None)
    usage = value(certificate, x509.KeyUsage)
    assert usage.digital_signature
    assert not (usage.key_cert_sign or usage.crl_sign or usage.data_encipherment or usage.key_agreement)
    assert usage.key_encipherment == isinstance(certificate.x509.public_key(), rsa.RSAPublicKey)


@pytest.mark.parametrize(("kind", "below"), [("issuing CA", 0), ("root", 1)])
def test_an_authority_may_sign_certificates_and_crls_and_nothing_else(kind, below):
    certificate = EVERY_KIND[kind]()
    assert value(certificate, x509.BasicConstraints) == x509.BasicConstraints(ca=True, path_length=below)
    usage = value(certificate, x509.KeyUsage)
    assert usage.key_cert_sign
    assert usage.crl_sign
    assert not (usage.digital_signature or usage.key_encipherment)
    with pytest.raises(x509.ExtensionNotFound):
        value(certificate, x509.ExtendedKeyUsage)


@pytest.mark.parametrize(
    ("kind", "usage"),
    [
        ("device ec-p256", ExtendedKeyUsageOID.CLIENT_AUTH),
        ("TLS server", ExtendedKeyUsageOID.SERVER_AUTH),
        ("OCSP signer", ExtendedKeyUsageOID.OCSP_SIGNING),
    ],
)
def test_a_key_has_one_purpose(kind, usage):
    assert list(value(EVERY_KIND[kind](), x509.ExtendedKeyUsage)) == [usage]


@pytest.mark.parametrize("kind", [name for name in EVERY_KIND if name != "root"])
def test_a_certificate_names_its_crl_its_responder_and_its_issuer(kind, settings):
    certificate = EVERY_KIND[kind]()
    slug, base = certificate.authority.slug, settings.PUBLIC_STATUS_URL
    [point] = value(certificate, x509.CRLDistributionPoints)
    assert [name.value for name in point.full_name] == [f"{base}/crl/{slug}/{certificate.crl_shard}.crl"]
    assert {
        access.access_method: access.access_location.value
        for access in value(certificate, x509.AuthorityInformationAccess)
    } == {
        AuthorityInformationAccessOID.OCSP: f"{base}/ocsp/{slug}/",
        AuthorityInformationAccessOID.CA_ISSUERS: f"{base}/ca/{slug}.cer",
    }


def test_only_an_ocsp_signer_is_exempt_from_being_asked_for():
    exempt = {
        kind
        for kind, make in EVERY_KIND.items()
        if x509.OCSPNoCheck.oid in [each.oid for each in make().x509.extensions]
    }
    assert exempt == {"OCSP signer"}


def test_a_server_is_named_by_dns_names_and_addresses():
    names = value(tls_server(), x509.SubjectAlternativeName)
    assert names.get_values_for_type(x509.DNSName) == ["est.example"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]


def test_alternative_names_are_critical_exactly_when_there_is_no_subject():
    # RFC 5280 4.2.1.6
    profile(subject_template="CN={site}", san_templates=["URI:https://meters.example/{serial}"])
    certificate = issue(admission(), NOW)
    assert certificate.subject == ""
    assert critical(certificate) == {"basicConstraints", "keyUsage", "subjectAltName"}


def test_a_certificate_with_no_name_at_all_is_never_signed():
    # RFC 5280 4.1.2.6
    profile(subject_template="CN={site}")
    with pytest.raises(ProfileUnusable, match="gives no name at all"):
        issue(admission(), NOW)


# --- What others say of them ----------------------------------------------------------------------------------------


def pem(directory: Path, name: str, *certificates: Certificate) -> str:
    path = directory / f"{name}.pem"
    path.write_bytes(b"".join(each.x509.public_bytes(Encoding.PEM) for each in certificates))
    return str(path)


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_pkilint_finds_nothing_in_any_kind_of_certificate(tmp_path):
    _lint(tmp_path, [(kind, make()) for kind, make in EVERY_KIND.items()])


def test_pkilint_finds_nothing_where_names_are_unusual(tmp_path):
    unusual = [
        profile(
            "all-attributes",
            subject_template="CN={serial},2.5.4.5={serial},OU={site},OU={batch},O=Demo Grid\\, Inc.,L=Penang,C=MY",
            san_templates=[
                "DNS:{serial}.example",
                "EMAIL:{serial}@example.org",
                "IP:192.0.2.1",
                "URI:https://meters.example/{serial}",
            ],
        ),
        profile("no-subject", subject_template="CN={site}", san_templates=["URI:https://meters.example/{serial}"]),
    ]
    found = []
    for rules in unusual:
        new = device(fleet=fleet(rules.slug, profile=rules))
        found.append((rules.slug, issue(admission(device_=new), NOW)))
    _lint(tmp_path, found)


# pkilint reads no URI without an authority (urn:dev:...) and no name of one label (localhost), which RFC 5280 allows.
def _lint(directory: Path, certificates: list[tuple[str, Certificate]]) -> None:
    """Let pkilint's two programs look at `certificates`, each with its issuer. Not as programs: to import them costs
    more than to lint.
    """
    failed = []
    for kind, certificate in certificates:
        issuer = pem(directory, f"{kind}-issuer", certificate.authority.certificate)
        own = pem(directory, kind, certificate)
        if lint_pkix_cert.main(["lint", "-s", "WARNING", own]) or lint_pkix_signer_signee_cert_chain.main(
            ["lint", "-s", "WARNING", issuer, own]
        ):
            failed.append(kind)
    assert failed == []


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_openssl_verifies_the_path_strictly(kind, tmp_path):
    certificate = EVERY_KIND[kind]()
    path = chain(certificate.authority)
    run(
        "openssl", "verify", "-x509_strict", "-check_ss_sig", "-purpose", "any",
        "-attime", str(int(NOW.timestamp())),
        "-CAfile", pem(tmp_path, "root", path[-1]),
        "-untrusted", pem(tmp_path, "chain", *path),
        pem(tmp_path, "leaf", certificate),
    )  # fmt: skip


def test_cryptography_verifies_the_path_of_a_device():
    certificate = device_certificate()
    issuing, root_ = chain(authority())
    policy = (
        verification.PolicyBuilder()
        .store(verification.Store([root_.x509]))
        .time(NOW)
        .extension_policies(
            ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(),
            ee_policy=verification.ExtensionPolicy.permit_all(),
        )
    )
    verified = policy.build_client_verifier().verify(certificate.x509, [issuing.x509])
    assert verified.chain == [certificate.x509, issuing.x509, root_.x509]
    for moment in (certificate.not_before - timedelta(seconds=1), certificate.not_after + timedelta(seconds=1)):
        with pytest.raises(verification.VerificationError):
            policy_at = verification.PolicyBuilder().store(verification.Store([root_.x509])).time(moment)
            policy_at.build_client_verifier().verify(certificate.x509, [issuing.x509])


@pytest.mark.parametrize("kind", [KeyType.EC_P384, KeyType.ED25519, KeyType.RSA_2048])
def test_authorities_of_other_kinds_sign_what_verifies(kind, tmp_path):
    plan = AuthorityPlan(f"other-{kind}", f"Other {kind}", "Test", 3000 * DAY, path_length=0, key_type=kind)
    other = establish(plan, parent=root(), now=NOW - DAY, actor=SYSTEM)
    certificate = issue(admission(device_=device(fleet=fleet(f"of-{kind}", authority=other))), NOW)
    certificate.x509.verify_directly_issued_by(other.x509)
    _lint(tmp_path, [("issuer", _of(other)), ("leaf", certificate)])


def test_an_authority_without_a_certificate_signs_nothing():
    half = Authority(slug="half", name="Half", key_name="half", created_at=NOW)
    request = certification_request()
    with pytest.raises(ValueError, match="half is not established"):
        issue(Admission(device(), profile(), half, request, SYSTEM), NOW)


def test_the_name_in_the_request_is_not_the_name_in_the_certificate():
    request = parse(csr_der(key(), "somebody else"))
    new = device()
    assert issue(admission(device_=new, request=request), NOW).subject == f"CN={new.serial}"
