"""EST as devices meet it, from request to row. TLS is driven by tests/e2e; here the listener's socket is handed in."""

import base64
import hashlib
from datetime import timedelta

import pytest
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID
from django.test import Client
from django.utils import timezone

from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent, Certificate, CertificateState, Device, DeviceStatus
from renewal import brakes, secrets
from renewal.models import EnrolmentProtocol, EnrolmentSecret
from renewal.protocols.directory import STALE_AFTER, STALE_FOR_UNKNOWN, Directory, directory
from tests.factories import DAY, Enrolled, csr_der, device, enrolled, fleet, key, profile
from tests.inventory.x509.test_csr import RSA_PSS

pytestmark = [pytest.mark.django_db, pytest.mark.urls("certportal.urls.device")]
BASE = "/.well-known/est/demo"
MOMENT = timedelta(milliseconds=1)


class Listener:
    """The socket of our listener, as gunicorn hands it to the application: it knows who is on the other end."""

    def __init__(self, der: bytes | None, version: str = "TLSv1.3") -> None:
        self._der, self._version = der, version

    def version(self) -> str:
        return self._version

    def get_channel_binding(self, kind: str) -> bytes:
        assert kind == "tls-unique"
        return b"finished"

    def getpeercert(self, *, binary_form: bool) -> bytes | None:
        assert binary_form
        return self._der


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def meter(now) -> Enrolled:
    return enrolled(expires_in=30 * DAY, now=now)


def credentials(device_: Device, now) -> str:
    secret = secrets.create(device_, EnrolmentProtocol.EST, now=now, actor=SYSTEM)
    return basic(device_.serial, secret)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def post(client: Client, operation: str, csr: bytes, *, base: str = BASE, tls: bytes | None = None, **headers):
    return client.post(
        f"{base}/{operation}",
        base64.b64encode(csr),
        content_type="application/pkcs10",
        headers={"User-Agent": "libest", **headers},
        **{"gunicorn.socket": Listener(tls)},
    )


def certificates(response) -> list[x509.Certificate]:
    assert response.status_code == 200, response.content
    return pkcs7.load_der_pkcs7_certificates(base64.b64decode(response.content))


def line(response) -> str:
    text = response.content.decode()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert int(response["Content-Length"]) == len(response.content)
    return text.strip()


@pytest.mark.parametrize("path", ["/.well-known/est/demo/cacerts", "/demo/.well-known/est/cacerts"])
def test_cacerts_is_the_chain_up_to_the_root(client, path):
    demo = fleet()
    chain = certificates(client.get(path))
    assert set(chain) == {demo.authority.x509, demo.authority.parent.x509}


def test_cacerts_without_a_label_serves_the_only_fleet(client):
    fleet()
    assert len(certificates(client.get("/.well-known/est/cacerts"))) == 2
    fleet("other")
    directory.forget()
    response = client.get("/.well-known/est/cacerts")
    assert response.status_code == 404
    assert "use /.well-known/est/LABEL/" in line(response)


def test_an_unknown_label_is_not_found(client, meter):
    for response in (
        client.get("/.well-known/est/nowhere/cacerts"),
        post(client, "simpleenroll", meter.renewal_request(), base="/.well-known/est/nowhere"),
        post(client, "simplereenroll", meter.renewal_request(), base="/.well-known/est/nowhere", tls=meter.der),
    ):
        assert response.status_code == 404
        assert line(response) == "There is no fleet with the label 'nowhere'."


def test_answers_have_the_form_that_strict_clients_demand(client):
    fleet()
    wrapped = client.get(f"{BASE}/cacerts", headers={"User-Agent": "libest"})
    assert max(len(part) for part in wrapped.content.split(b"\n")) == 64
    one_line = client.get(f"{BASE}/cacerts")
    assert b"\n" not in one_line.content
    for response in (wrapped, one_line):
        assert response["Content-Type"] == "application/pkcs7-mime; smime-type=certs-only"
        assert int(response["Content-Length"]) == len(response.content)
        assert len("".join(f"{name}: {value}\r\n" for name, value in response.items())) < 800
        assert not response.cookies


def test_a_secret_gives_one_certificate_and_is_spent_by_it(client, now):
    new = device()
    authorization = credentials(new, now)
    new_key = key()
    [certificate] = certificates(
        post(client, "simpleenroll", csr_der(new_key, "anything"), Authorization=authorization)
    )
    stored = Certificate.objects.get(device=new)
    assert certificate == stored.x509
    assert certificate.subject.rfc4514_string() == f"CN={new.serial}"
    assert certificate.public_key() == new_key.public_key()
    secret = EnrolmentSecret.objects.get(device=new)
    assert secret.certificate_id == stored.pk
    assert AuditEvent.objects.filter(action=AuditAction.CERTIFICATE_ENROLLED, certificate=stored).count() == 1

    response = post(client, "simpleenroll", csr_der(key(), new.serial), Authorization=authorization)
    assert response.status_code == 401
    assert Certificate.objects.filter(device=new).count() == 1


def test_the_same_request_after_a_lost_answer_gets_the_same_certificate(client, now):
    new = device()
    authorization, request = credentials(new, now), csr_der(key(), new.serial)
    [first] = certificates(post(client, "simpleenroll", request, Authorization=authorization))
    [again] = certificates(post(client, "simpleenroll", request, Authorization=authorization))
    assert first == again


def test_a_wrong_secret_is_unauthorized_audited_and_braked(client, now):
    new = device()
    credentials(new, now)
    request = csr_der(key(), new.serial)
    for _ in range(brakes.MOST_OF_DEVICE):
        response = post(client, "simpleenroll", request, Authorization=basic(new.serial, "wrong"))
        assert response.status_code == 401
        assert response["WWW-Authenticate"].startswith("Basic ")
        assert "wrong, spent or expired" in line(response)
    response = post(client, "simpleenroll", request, Authorization=basic(new.serial, "wrong"))
    assert response.status_code == 429
    assert response["Retry-After"] == "60"
    assert AuditEvent.objects.filter(action=AuditAction.ENROLMENT_REFUSED).count() == brakes.MOST_OF_DEVICE
    assert not Certificate.objects.filter(device=new).exists()


def test_an_expired_secret_and_one_of_another_device_are_as_wrong_as_any(client, now):
    first, second = device(), device()
    expired = credentials(first, now - 31 * DAY)
    others = basic(second.serial, base64.b64decode(expired[6:]).decode().partition(":")[2])
    for authorization in (expired, others):
        response = post(client, "simpleenroll", csr_der(key()), Authorization=authorization)
        assert response.status_code == 401


def test_a_request_that_names_another_device_is_refused(client, now):
    mine, other = device(), device()
    response = post(client, "simpleenroll", csr_der(key(), other.serial), Authorization=credentials(mine, now))
    assert response.status_code == 403
    assert "names another device" in line(response)


def test_a_suspended_or_revoked_device_gets_nothing_for_a_secret(client, now, meter):
    suspended = device(status=DeviceStatus.SUSPENDED)
    Certificate.objects.filter(pk=meter.certificate.pk).update(
        state=CertificateState.REVOKED, revoked_at=now, revocation_reason="keyCompromise"
    )
    for refused in (suspended, meter.device):
        response = post(client, "simpleenroll", csr_der(key()), Authorization=credentials(refused, now))
        assert response.status_code == 403


def test_no_credential_is_unauthorized(client, meter):
    for operation in ("simpleenroll", "simplereenroll"):
        response = post(client, operation, meter.renewal_request())
        assert response.status_code == 401
        assert "needs" in line(response)


@pytest.mark.parametrize("operation", ["simplereenroll", "simpleenroll"])
def test_a_device_renews_by_its_current_certificate(client, meter, operation):
    [renewed] = certificates(post(client, operation, meter.renewal_request(), tls=meter.der))
    assert Certificate.objects.get(predecessor=meter.certificate).x509 == renewed


def test_simpleenroll_by_certificate_names_the_device_by_its_profile_and_never_another(client, meter, now):
    [renewed] = certificates(post(client, "simpleenroll", csr_der(key(), "anything"), tls=meter.der))
    assert renewed.subject == meter.certificate.x509.subject
    for operation in ("simpleenroll", "simplereenroll"):
        response = post(client, operation, csr_der(key(), enrolled(now=now).device.serial), tls=meter.der)
        assert response.status_code == 403


def test_the_first_request_with_a_new_certificate_confirms_it(client, meter):
    [renewed] = certificates(post(client, "simplereenroll", meter.renewal_request(), tls=meter.der))
    stored = Certificate.objects.get(predecessor=meter.certificate)
    client.get(f"{BASE}/cacerts", **{"gunicorn.socket": Listener(renewed.public_bytes(Encoding.DER))})
    stored.refresh_from_db()
    meter.certificate.refresh_from_db()
    assert stored.state == CertificateState.CONFIRMED
    assert (meter.certificate.state, meter.certificate.successor_id) == (CertificateState.SUPERSEDED, stored.pk)


def test_too_early_names_the_opening_date(client, now):
    young = enrolled(expires_in=91 * DAY, now=now)
    response = post(client, "simplereenroll", young.renewal_request(), tls=young.der)
    assert response.status_code == 403
    assert line(response).startswith(f"Renewal opens on {young.certificate.not_after - 90 * DAY:%Y-%m-%d}; today is")


def test_expired_revoked_and_foreign_certificates_are_forbidden_with_a_reason(client, now):
    expired = enrolled(expires_in=-1 * DAY, now=now)
    assert "expired on" in line(post(client, "simplereenroll", expired.renewal_request(), tls=expired.der))
    revoked = enrolled(now=now)
    Certificate.objects.filter(pk=revoked.certificate.pk).update(
        state=CertificateState.REVOKED, revoked_at=now, revocation_reason="keyCompromise"
    )
    response = post(client, "simplereenroll", revoked.renewal_request(), tls=revoked.der)
    assert response.status_code == 403
    assert "revoked (keyCompromise)" in line(response)
    response = post(client, "simplereenroll", revoked.renewal_request(), tls=b"0\x03\x02\x01\x01")
    assert response.status_code == 403


HEADERS = ["X-SSL-Client-Cert", "X-Client-Cert", "X-SSL-Client-Verify", "Client-Cert", "X-Forwarded-Client-Cert"]


@pytest.mark.parametrize("header", HEADERS)
def test_a_certificate_in_a_header_is_nobody(client, meter, header):
    value = base64.b64encode(meter.der).decode()
    response = post(client, "simplereenroll", meter.renewal_request(), **{header: value})
    assert response.status_code == 401


BROKEN = {
    "empty": b"",
    "not base64": b"AAA*",
    "not DER": base64.b64encode(b"junk"),
    "PEM": b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----",
    "zeros": base64.b64encode(bytes(5000)),
    "too long": base64.b64encode(bytes(20_000)),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_request_is_a_bad_request_with_a_reason(client, case):
    fleet()
    # The test client leaves the header out where there is no body; real clients do not.
    response = client.post(
        f"{BASE}/simpleenroll", BROKEN[case], content_type="application/pkcs10", CONTENT_TYPE="application/pkcs10"
    )
    assert response.status_code == 400
    assert len(line(response)) > 20


def test_a_request_signed_by_another_key_is_a_bad_request(client):
    fleet()
    der = bytearray(csr_der(key(), "D1"))
    der[-1] ^= 1
    response = post(client, "simpleenroll", bytes(der))
    assert response.status_code == 400
    assert line(response) == "The request's signature does not verify with its own key."


def test_white_space_of_any_kind_in_base64_is_read(client, meter):
    text = base64.encodebytes(meter.renewal_request()).replace(b"\n", b"\r\n \t")
    response = client.post(
        f"{BASE}/simplereenroll",
        text,
        content_type="application/pkcs10; charset=ascii",
        **{"gunicorn.socket": Listener(meter.der)},
    )
    assert len(certificates(response)) == 1


def test_another_content_type_is_unsupported(client, meter):
    response = client.post(f"{BASE}/simpleenroll", meter.renewal_request(), content_type="text/html")
    assert response.status_code == 415
    assert "application/pkcs10" in line(response)


@pytest.mark.parametrize(
    ("method", "operation"), [("get", "simpleenroll"), ("get", "simplereenroll"), ("post", "cacerts")]
)
def test_another_method_is_not_allowed(client, method, operation):
    fleet()
    response = getattr(client, method)(f"{BASE}/{operation}")
    assert response.status_code == 405
    assert response["Allow"]


class Values(core.SetOf):
    _child_spec = core.Any


class Attribute(core.Sequence):
    _fields = [("type", core.ObjectIdentifier), ("values", Values)]


@pytest.mark.parametrize(
    ("key_types", "wanted"),
    [
        (["ec-p256"], [{"1.2.840.10045.2.1": "1.2.840.10045.3.1.7"}, "1.2.840.10045.4.3.2"]),
        (["ec-p384", "ec-p256"], [{"1.2.840.10045.2.1": "1.3.132.0.34"}, "1.2.840.10045.4.3.3"]),
        (["rsa-3072"], [{"1.2.840.113549.1.1.1": 3072}, "1.2.840.113549.1.1.11"]),
        (["ed25519"], ["1.3.101.112"]),
    ],
)
def test_csrattrs_asks_for_the_key_that_the_profile_prefers(client, key_types, wanted):
    fleet(profile=profile(key_types=key_types))
    response = client.get(f"{BASE}/csrattrs")
    assert (response.status_code, response["Content-Type"]) == (200, "application/csrattrs")
    assert int(response["Content-Length"]) == len(response.content)
    found: list[object] = []
    for each in core.SequenceOf.load(base64.b64decode(response.content), spec=core.Any):
        if isinstance(each.parsed, core.ObjectIdentifier):
            found.append(each.parsed.dotted)
        else:
            [value] = each.parse(Attribute)["values"]
            found.append({each.parse(Attribute)["type"].dotted: getattr(value.parsed, "dotted", value.native)})
    assert found == wanted


def test_hashes_of_secrets_are_stored_never_secrets(now):
    new = device()
    password = base64.b64decode(credentials(new, now)[6:]).decode().partition(":")[2]
    assert bytes(EnrolmentSecret.objects.get(device=new).sha256) == hashlib.sha256(password.encode()).digest()


HOSTILE = [
    "\0",
    "D1\0",
    "\n",
    "\u202e1D",
    "'; --",
    "=cmd()",
    "<script>",
    "é",
    "\U0001f600",
    "D" * 2000,
    "{serial}",
    "%",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_serial_number_in_credentials_is_more_than_unauthorized(client, text):
    fleet()
    for user, password in ((text, "secret"), ("D1", text)):
        response = post(client, "simpleenroll", csr_der(key()), Authorization=basic(user, password))
        assert response.status_code == 401
        assert line(response)


@pytest.mark.parametrize(
    "header", ["Basic \xe9\xff", "Basic", "Basic !!!!", "Basic /w==", "Bearer x", "\xff", "Basic Og=="]
)
def test_no_authorization_header_is_more_than_unauthorized(client, header):
    fleet()
    assert post(client, "simpleenroll", csr_der(key()), Authorization=header).status_code == 401


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_common_name_of_a_request_is_more_than_a_name(client, now, text):
    new = device()
    unchecked = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text[:64])])
    response = post(client, "simpleenroll", csr_der(key(), unchecked), Authorization=credentials(new, now))
    assert [certificate.subject.rfc4514_string() for certificate in certificates(response)] == [f"CN={new.serial}"]
    meter = enrolled(now=now)
    response = post(client, "simplereenroll", csr_der(key(), unchecked), tls=meter.der)
    assert response.status_code == 403
    assert "names another subject" in line(response)


@pytest.mark.parametrize("label", ["%00", "demo%00", "%0a", "%ff", "%E2%80%AE", "x" * 500, "..", "demo%20"])
def test_no_label_is_more_than_unknown(client, meter, label):
    for base in (f"/.well-known/est/{label}", f"/{label}/.well-known/est"):
        assert client.get(f"{base}/cacerts").status_code == 404
        assert post(client, "simplereenroll", meter.renewal_request(), base=base, tls=meter.der).status_code == 404


def test_a_link_local_address_with_a_zone_is_noted_without_it(client):
    fleet()
    response = client.post(
        f"{BASE}/simpleenroll",
        base64.b64encode(csr_der(key())),
        content_type="application/pkcs10",
        headers={"Authorization": basic("D1", "wrong")},
        REMOTE_ADDR="fe80::1%eth0",
    )
    assert response.status_code == 401
    assert AuditEvent.objects.get(action=AuditAction.ENROLMENT_REFUSED).source_address == "fe80::1"


def test_what_a_request_asks_for_beside_its_key_is_ignored(client, now):
    # An authority that obeyed would sign a new authority for whoever holds a secret.
    new, new_key = device(), key()
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), critical=True)
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\5\0"), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("bank.example")]), critical=True)
        .add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"\x0c")
        .sign(new_key, hashes.SHA256())
    )
    response = post(client, "simpleenroll", request.public_bytes(Encoding.DER), Authorization=credentials(new, now))
    [certificate] = certificates(response)
    extensions = certificate.extensions
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(x509.ExtensionNotFound):
        extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize("cause", ["profile", "key"])
def test_what_keeps_the_portal_from_signing_is_unavailable_not_failed(client, meter, settings, cause):
    if cause == "profile":
        profile(extended_key_usages=["client authentication"])
    else:
        settings.KEY_PASSPHRASE = "another"
    response = post(client, "simplereenroll", meter.renewal_request(), tls=meter.der)
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    assert "/" not in line(response)


@pytest.mark.parametrize(
    ("version", "password", "status"),
    [
        ("TLSv1.2", base64.b64encode(b"finished"), 200),
        ("TLSv1.2", base64.b64encode(b"another session"), 403),
        ("TLSv1.2", b"notTheTlsUnique", 403),
        ("TLSv1.3", b"notTheTlsUnique", 200),  # which has no tls-unique
    ],
)
def test_a_request_linked_to_another_tls_session_is_refused_where_there_is_a_link(meter, version, password, status):
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(meter.certificate.x509.subject)
        .add_attribute(AttributeOID.CHALLENGE_PASSWORD, password)
        .sign(key(), hashes.SHA256())
    )
    response = Client().post(
        f"{BASE}/simplereenroll",
        base64.b64encode(request.public_bytes(Encoding.DER)),
        content_type="application/pkcs10",
        **{"gunicorn.socket": Listener(meter.der, version)},
    )
    assert response.status_code == status
    assert status == 200 or "tls-unique" in line(response)


def test_a_key_for_rsa_pss_alone_is_refused_and_the_secret_kept(client, now):
    profile(key_types=["rsa-2048", "ec-p256"])
    new = device()
    authorization = credentials(new, now)
    response = post(client, "simpleenroll", base64.b64decode(RSA_PSS), Authorization=authorization)
    assert response.status_code == 403
    assert "The key is of an unsupported kind" in line(response)
    assert EnrolmentSecret.objects.get().spent_at is None


def test_anonymous_requests_ask_no_database_and_see_a_change_within_seconds(client, django_assert_num_queries):
    demo = fleet()
    assert client.get(f"{BASE}/cacerts").status_code == 200
    with django_assert_num_queries(0):
        for _ in range(3):
            assert set(certificates(client.get(f"{BASE}/cacerts"))) == {demo.authority.x509, demo.authority.parent.x509}
            assert client.get(f"{BASE}/csrattrs").status_code == 200
            assert client.get("/.well-known/est/nowhere/cacerts").status_code == 404


def test_the_directory_is_read_again_when_it_is_old_and_sooner_for_a_label_that_is_new(django_assert_num_queries):
    known, now = Directory(), timezone.now()
    fleet()
    with django_assert_num_queries(2):
        assert known.find("demo", now)
        assert known.find("demo", now + STALE_AFTER - MOMENT)
        assert known.find("second", now + STALE_FOR_UNKNOWN - MOMENT) is None
    fleet("second")
    assert known.find("second", now + STALE_FOR_UNKNOWN - MOMENT) is None
    assert known.find("second", now + STALE_FOR_UNKNOWN)
    assert known.find(None, now + STALE_FOR_UNKNOWN) is None
    with django_assert_num_queries(2):
        assert known.find("demo", now + STALE_FOR_UNKNOWN + STALE_AFTER)
