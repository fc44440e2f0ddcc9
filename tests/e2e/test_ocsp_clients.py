"""OCSP as OpenSSL, GnuTLS and curl see it."""

import base64
from urllib.parse import quote

import cryptography_vectors
import pytest
import requests
from cryptography.x509 import ocsp

from tests.e2e.status_service import StatusService, _furnished, status_service  # noqa: F401  (fixtures)

pytestmark = pytest.mark.e2e


def ask(service: StatusService, name: str, *options: str) -> str:
    command = ["openssl", "ocsp", *options, "-issuer", "issuer.pem", "-cert", f"{name}.pem"]
    trust = ["-CAfile", "root.pem", "-verify_other", "issuer.pem"]
    return service.run(*command, "-url", f"{service.url}/ocsp/mfg-1/", *trust)


def test_openssl(status_service: StatusService) -> None:  # noqa: F811
    for options in ([], ["-sha1", "-no_nonce"], ["-sha256", "-no_nonce"]):
        good, revoked = ask(status_service, "good", *options), ask(status_service, "revoked", *options)
        assert "Response verify OK" in good
        assert "good.pem: good" in good
        assert "Response verify OK" in revoked
        assert "revoked.pem: revoked" in revoked
        assert "Reason: keyCompromise" in revoked
        # OpenSSL warns when the nonce does not come back, or not the same.
        assert "nonce" not in (good + revoked).lower()


def test_openssl_whose_clock_is_slow_accepts_an_answer_made_just_now(status_service: StatusService) -> None:  # noqa: F811
    said = status_service.run(
        *["faketime", "-f", "-10m", "openssl", "ocsp", "-issuer", "issuer.pem", "-cert", "good.pem"],
        *["-url", f"{status_service.url}/ocsp/mfg-1/", "-CAfile", "root.pem", "-verify_other", "issuer.pem"],
    )
    assert "Response verify OK" in said
    assert "good.pem: good" in said
    assert "not yet valid" not in said


def test_openssl_asks_for_two_certificates_at_once(status_service: StatusService) -> None:  # noqa: F811
    said = ask(status_service, "good", "-issuer", "issuer.pem", "-cert", "revoked.pem")
    assert "Response verify OK" in said
    assert "good.pem: good" in said
    assert "revoked.pem: revoked" in said


def test_openssl_asks_for_a_serial_number_never_issued(status_service: StatusService) -> None:  # noqa: F811
    said = status_service.run(
        *["openssl", "ocsp", "-issuer", "issuer.pem", "-serial", "0x7fffffffffffffffffffffffffffff01"],
        *["-url", f"{status_service.url}/ocsp/mfg-1/", "-CAfile", "root.pem", "-verify_other", "issuer.pem"],
    )
    assert "Response verify OK" in said
    assert ": unknown" in said


def test_openssl_checks_the_issuing_authority_at_its_root(status_service: StatusService) -> None:  # noqa: F811
    said = status_service.run(
        *["openssl", "ocsp", "-issuer", "root.pem", "-cert", "issuer.pem"],
        *["-url", f"{status_service.url}/ocsp/root/", "-CAfile", "root.pem"],
    )
    assert "Response verify OK" in said
    assert "issuer.pem: good" in said


def test_gnutls(status_service: StatusService) -> None:  # noqa: F811
    for name, status in (("good", "good"), ("revoked", "revoked")):
        said = status_service.run(
            *["ocsptool", f"--ask={status_service.url}/ocsp/mfg-1/", "--load-cert", f"{name}.pem"],
            *["--load-issuer", "issuer.pem", "--load-trust", "issuer.pem", "--nonce"],
        )
        assert "Verifying OCSP Response: Success" in said
        assert f"Certificate Status: {status}" in said


def test_curl_sends_the_get_form_and_openssl_verifies_the_answer(status_service: StatusService) -> None:  # noqa: F811
    status_service.run(
        *["openssl", "ocsp", "-issuer", "issuer.pem", "-cert", "good.pem", "-no_nonce", "-reqout", "asked.der"]
    )
    asked = (status_service.directory / "asked.der").read_bytes()
    address = f"{status_service.url}/ocsp/mfg-1/{quote(base64.b64encode(asked), safe='')}"
    headers = status_service.run("curl", "-sS", "-D", "-", "-o", "answer.der", address).lower()
    assert headers.startswith("http/1.1 200 ")
    assert "content-type: application/ocsp-response" in headers
    # RFC 5019 6.2
    for name in ("cache-control", "expires", "last-modified", "etag", "content-length"):
        assert f"\n{name}: " in headers
    said = status_service.run(
        *["openssl", "ocsp", "-issuer", "issuer.pem", "-cert", "good.pem", "-respin", "answer.der"],
        *["-CAfile", "root.pem", "-verify_other", "issuer.pem"],
    )
    assert "Response verify OK" in said


def test_no_public_vector_and_no_oversize_body_brings_the_service_down(
    status_service: StatusService,  # noqa: F811
) -> None:
    address = f"{status_service.url}/ocsp/mfg-1/"
    with cryptography_vectors.open_vector_file("x509/ocsp/req-sha1.der", "rb") as vector:
        valid = vector.read()
    bodies = [valid[:cut] for cut in range(0, len(valid), 7)] + [b"\x30\x80" * 5000, b"junk", bytes(16 * 1024)]
    with requests.Session() as session:
        session.trust_env = False
        for body in bodies:
            answer = session.post(address, data=body, timeout=15)
            assert answer.status_code == 200
            status = ocsp.load_der_ocsp_response(answer.content).response_status
            assert status == ocsp.OCSPResponseStatus.MALFORMED_REQUEST
        foreign = session.post(address, data=valid, timeout=15)
        assert ocsp.load_der_ocsp_response(foreign.content).response_status == ocsp.OCSPResponseStatus.UNAUTHORIZED
        assert session.post(address, data=bytes(10**6), timeout=15).status_code == 413
    assert "good.pem: good" in ask(status_service, "good")
