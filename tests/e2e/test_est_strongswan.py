"""EST with strongSwan's `pki`, the strictest client we know: short headers, one line of base64, no chunks."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.e2e.lab import request_for
from tests.e2e.peers import run


@pytest.fixture
def trust(portal, meter):
    # 5.9.8 finds the issuer of the server's certificate among these alone.
    return ["--cacert", portal.root, "--cacert", meter.issuer]


@pytest.fixture
def url(portal):
    """5.9.8 puts `/.well-known/est` behind the address it is given, so the label comes first."""
    return f"{portal.device_url}/demo"


def enrol(url, trust, request: bytes, directory, *credentials):
    sent = directory / "request.der"
    sent.write_bytes(request)
    return run(
        "pki", "--est", "--url", url, "--in", sent, *trust, *credentials,
        "--interval", "1", "--maxpolltime", "5", "--outform", "pem",
    )  # fmt: skip


def certificate(result) -> x509.Certificate:
    assert result.ok, result.output
    return x509.load_pem_x509_certificate(result.output[result.output.index("-----BEGIN") :].encode())


def test_estca_fetches_the_chain(url, trust, tmp_path):
    result = run("pki", "--estca", "--url", url, *trust, "--caout", tmp_path / "ca.pem", "--outform", "pem", "--force")
    assert result.ok, result.output
    assert list(tmp_path.glob("ca*.pem"))


def test_est_enrols_by_a_secret_and_not_by_a_wrong_one(portal, url, trust, meter, tmp_path):
    secret = portal.enrolment_secret(meter.serial)
    request = request_for(f"CN={meter.serial}")
    assert not enrol(url, trust, request, tmp_path, "--userpass", f"{meter.serial}:wrong").ok
    issued = certificate(enrol(url, trust, request, tmp_path, "--userpass", f"{meter.serial}:{secret}"))
    assert issued.subject == meter.x509.subject


def test_est_renews_with_a_new_key(url, trust, meter, tmp_path):
    der = tmp_path / "certificate.der"
    der.write_bytes(meter.x509.public_bytes(Encoding.DER))
    renewed = certificate(enrol(url, trust, meter.renewal_request(), tmp_path, "--cert", der, "--key", meter.key))
    assert renewed.subject == meter.x509.subject
    assert renewed.public_key() != meter.x509.public_key()
