"""CRLs as OpenSSL and curl see them."""

import time

import pytest

from tests.e2e.status_service import StatusService, _furnished, status_service  # noqa: F401  (fixtures)

pytestmark = pytest.mark.e2e


def fetch(service: StatusService, name: str, *options: str) -> str:
    """Fetch a CRL, also as PEM; return the headers in lower case."""
    headers = service.run("curl", "-sS", "-D", "-", "-o", "crl.der", *options, f"{service.url}/crl/{name}.crl")
    return headers.lower()


def verify(service: StatusService, certificate: str, check: str = "-crl_check") -> str:
    command = ["openssl", "verify", "-x509_strict", check, "-CRLfile", "crls.pem"]
    return service.run(*command, "-CAfile", "root.pem", "-untrusted", "issuer.pem", f"{certificate}.pem")


def collect(service: StatusService, *names: str) -> None:
    """Put CRLs into one PEM file, as nginx and Mosquitto want them."""
    pem = ""
    for name in names:
        fetch(service, name)
        pem += service.run("openssl", "crl", "-inform", "DER", "-in", "crl.der")
    (service.directory / "crls.pem").write_text(pem)


@pytest.mark.parametrize("name", ["mfg-1/0", "mfg-1/all"])
def test_openssl_verifies_the_crl_and_refuses_the_revoked_certificate(
    status_service: StatusService,  # noqa: F811
    name: str,
) -> None:
    collect(status_service, name)
    said = status_service.run(
        *["openssl", "crl", "-inform", "DER", "-in", "crl.der", "-noout", "-verify", "-CAfile", "issuer.pem"]
    )
    assert "verify OK" in said
    assert "good.pem: OK" in verify(status_service, "good")
    assert "certificate revoked" in verify(status_service, "revoked")


@pytest.mark.parametrize("issuing", ["mfg-1/0", "mfg-1/all"])
def test_openssl_checks_the_whole_chain_with_the_roots_complete_crl(
    status_service: StatusService,  # noqa: F811
    issuing: str,
) -> None:
    # OpenSSL looks for the root itself too, which names no distribution point: a shard's CRL is out of its scope.
    collect(status_service, issuing, "root/all")
    assert "good.pem: OK" in verify(status_service, "good", "-crl_check_all")
    assert "certificate revoked" in verify(status_service, "revoked", "-crl_check_all")


def test_a_shard_stands_at_the_address_that_its_certificates_name(
    status_service: StatusService,  # noqa: F811
) -> None:
    address = f"URI:{status_service.url}/crl/mfg-1/0.crl"
    assert address in status_service.run("openssl", "x509", "-in", "good.pem", "-noout", "-text")
    fetch(status_service, "mfg-1/0")
    said = status_service.run("openssl", "crl", "-inform", "DER", "-in", "crl.der", "-noout", "-text")
    assert "Issuing Distribution Point: critical" in said
    assert address in said


def test_openssl_whose_clock_is_slow_accepts_a_crl_made_just_now(status_service: StatusService) -> None:  # noqa: F811
    fetch(status_service, "mfg-1/all")
    status_service.run("openssl", "crl", "-inform", "DER", "-in", "crl.der", "-out", "crl.pem")
    said = status_service.run(
        *["openssl", "verify", "-attime", str(int(time.time()) - 300), "-crl_check", "-CRLfile", "crl.pem"],
        *["-CAfile", "root.pem", "-untrusted", "issuer.pem", "good.pem"],
    )
    assert "good.pem: OK" in said


def test_curl_keeps_what_has_not_changed(status_service: StatusService) -> None:  # noqa: F811
    headers = fetch(status_service, "mfg-1/0", "--etag-save", "etag")
    assert headers.startswith("http/1.1 200 ")
    assert "content-type: application/pkix-crl" in headers
    assert "set-cookie" not in headers
    assert fetch(status_service, "mfg-1/0", "--etag-compare", "etag").startswith("http/1.1 304 ")


def test_head_has_the_length_and_no_body(status_service: StatusService) -> None:  # noqa: F811
    fetch(status_service, "mfg-1/0")
    length = (status_service.directory / "crl.der").stat().st_size
    headers = status_service.run("curl", "-sS", "-I", f"{status_service.url}/crl/mfg-1/0.crl").lower()
    assert f"content-length: {length}" in headers


def test_issuer_and_bundle_verify_a_device(status_service: StatusService) -> None:  # noqa: F811
    status_service.run("curl", "-sSf", "-o", "issuer.der", f"{status_service.url}/ca/mfg-1.cer")
    status_service.run("openssl", "x509", "-inform", "DER", "-in", "issuer.der", "-out", "fetched.pem")
    status_service.run("curl", "-sSf", "-o", "bundle.pem", f"{status_service.url}/bundle/demo.pem")
    said = status_service.run("openssl", "verify", "-CAfile", "root.pem", "-untrusted", "fetched.pem", "good.pem")
    assert "good.pem: OK" in said
    assert "good.pem: OK" in status_service.run("openssl", "verify", "-CAfile", "bundle.pem", "good.pem")
