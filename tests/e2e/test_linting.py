"""pkilint on everything the portal signs: nothing at WARNING or above."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.e2e.lab import LabDevice

_LINTERS = Path(sys.executable).parent


def lint(linter: str, *words: str | Path) -> None:
    """Fail with the linter's own words."""
    done = subprocess.run(
        [_LINTERS / linter, "lint", "-s", "WARNING", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def chain_of(portal, tmp_path: Path) -> list[tuple[Path, Path]]:
    """Return (certificate, issuer) for one certificate of each purpose that is in the inventory."""
    newest = portal.rows(
        "SELECT DISTINCT ON (c.purpose, c.authority_id) c.purpose, c.der, issuer.der FROM inventory_certificate c "
        "JOIN inventory_authority a ON a.id = c.authority_id "
        "JOIN inventory_certificate issuer ON issuer.id = a.certificate_id "
        "ORDER BY c.purpose, c.authority_id, c.id DESC"
    )
    pairs = []
    for number, (purpose, *ders) in enumerate(newest):
        files = [tmp_path / f"{number}-{purpose}-{role}.pem" for role in ("subject", "issuer")]
        for file, der in zip(files, ders, strict=True):
            file.write_bytes(x509.load_der_x509_certificate(bytes(der)).public_bytes(Encoding.PEM))
        pairs.append((files[0], files[1]))
    return pairs


def test_certificates_of_every_purpose_and_their_issuers(portal, tmp_path):
    pairs = chain_of(portal, tmp_path)
    purposes = {subject.name.split("-")[1] for subject, _issuer in pairs}
    assert purposes == {"device", "authority", "ocsp_signer", "scep_ra", "tls_server"}
    for subject, issuer in pairs:
        lint("lint_pkix_cert", subject)
        if subject.read_bytes() != issuer.read_bytes():
            lint("lint_pkix_signer_signee_cert_chain", issuer, subject)


@pytest.mark.parametrize("name", ["mfg-1/0", "mfg-1/all", "root/0", "root/all"])
def test_crls(portal, curl, tmp_path, name):
    crl = tmp_path / "lint.crl"
    crl.write_bytes(curl.get(f"{portal.status_url}/crl/{name}.crl").body)
    lint("lint_crl", "-t", "CRL", "-p", "PKIX", crl)


@pytest.mark.parametrize("status", ["good", "revoked", "unknown"])
def test_ocsp_answers(portal, meter, curl, tmp_path, status):
    if status == "revoked":
        portal.revoke(meter)
    issuer = x509.load_pem_x509_certificate(meter.issuer.read_bytes())
    asked = meter.x509 if status != "unknown" else _never_issued(meter, issuer)
    request = ocsp.OCSPRequestBuilder().add_certificate(asked, issuer, SHA1()).build()  # noqa: S303  (RFC 5019 2.1.1: what clients send)
    answer = curl.post(
        f"{portal.status_url}/ocsp/mfg-1/", request.public_bytes(Encoding.DER), content_type="application/ocsp-request"
    )
    parsed = ocsp.load_der_ocsp_response(answer.body)
    assert parsed.certificate_status.name == status.upper()
    written = tmp_path / "answer.ocsp"
    written.write_bytes(answer.body)
    lint("lint_ocsp_response", written)


def _never_issued(meter: LabDevice, issuer: x509.Certificate) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    return (
        x509.CertificateBuilder()
        .subject_name(meter.x509.subject)
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(meter.x509.not_valid_before_utc)
        .not_valid_after(meter.x509.not_valid_after_utc)
        .sign(key, meter.x509.signature_hash_algorithm)
    )
