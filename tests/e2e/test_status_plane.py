"""OCSP and CRLs as verifiers fetch them: openssl, GnuTLS and curl against the status plane."""

import base64
import email.utils
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from tests.e2e.lab import LabDevice
from tests.e2e.peers import Result, run
from tests.e2e.running_portal import until

_NEVER_ISSUED = "0x7fffffffffffffffffffffffffffff01"
_REQUEST = "application/ocsp-request"


@dataclass(frozen=True)
class Verifier:
    """openssl in the hands of somebody who trusts the root and knows the issuer."""

    url: str
    device: LabDevice

    def ocsp(self, *words: str | Path) -> Result:
        issuer, root = self.device.issuer, self.device.root
        return run("openssl", "ocsp", *words, "-CAfile", root, "-verify_other", issuer)

    def says(self, status: str, *words: str | Path) -> bool:
        """Ask about the device; tell whether the answer verifies and has this status."""
        return self._has(status, self.ocsp(*self._question(*words), "-url", self.url))

    def reads(self, status: str, answer: Path) -> bool:
        """Tell the same of an answer that is there already."""
        return self._has(status, self.ocsp(*self._question(), "-respin", answer))

    def _question(self, *words: str | Path) -> list[str | Path]:
        # openssl takes the hash for the certificates that follow it.
        return [*words, "-issuer", self.device.issuer, "-cert", self.device.certificate]

    def _has(self, status: str, result: Result) -> bool:
        return "Response verify OK" in result.output and f": {status}" in result.output


@pytest.fixture
def responder(portal) -> str:
    return f"{portal.status_url}/ocsp/mfg-1/"


@pytest.fixture
def verifier(responder, meter) -> Verifier:
    return Verifier(responder, meter)


@pytest.fixture
def request_der(verifier, tmp_path) -> bytes:
    written = tmp_path / "request.der"
    device = verifier.device
    run("openssl", "ocsp", "-issuer", device.issuer, "-cert", device.certificate, "-no_nonce", "-reqout", written)
    return written.read_bytes()


class TestOcsp:
    @pytest.mark.parametrize("options", [[], ["-no_nonce"], ["-sha1"], ["-sha256"], ["-sha256", "-no_nonce"]])
    def test_openssl_hears_good(self, verifier, options):
        assert verifier.says("good", *options)

    def test_the_nonce_comes_back(self, verifier):
        result = verifier.ocsp("-issuer", verifier.device.issuer, "-cert", verifier.device.certificate, "-nonce",
                               "-url", verifier.url)  # fmt: skip
        assert "no nonce in response" not in result.output
        assert "Response verify OK" in result.output

    def test_openssl_hears_revoked_at_once(self, portal, verifier):
        assert verifier.says("good")
        portal.revoke(verifier.device, "cessationOfOperation")
        assert verifier.says("revoked")
        assert "cessationOfOperation" in verifier.ocsp(
            "-issuer", verifier.device.issuer, "-cert", verifier.device.certificate, "-url", verifier.url
        ).output  # fmt: skip

    def test_a_serial_never_issued_is_not_good(self, verifier):
        result = verifier.ocsp("-issuer", verifier.device.issuer, "-serial", _NEVER_ISSUED, "-url", verifier.url)
        assert "Response verify OK" in result.output
        assert ": unknown" in result.output

    def test_a_foreign_issuer_is_unauthorized(self, verifier):
        device = verifier.device
        result = verifier.ocsp("-issuer", device.root, "-cert", device.certificate, "-url", verifier.url)
        assert "unauthorized" in result.output

    def test_gnutls_verifies_the_answer(self, responder, meter):
        result = run(
            "ocsptool", f"--ask={responder}", "--nonce",
            "--load-cert", meter.certificate, "--load-issuer", meter.issuer, "--load-trust", meter.issuer,
        )  # fmt: skip
        assert "Verifying OCSP Response: Success" in result.output, result.output

    def test_a_get_may_be_cached_as_rfc_5019_says(self, responder, verifier, request_der, curl, tmp_path):
        url = responder + quote(base64.b64encode(request_der).decode(), safe="")
        answer = curl.get(url)
        assert answer.status == 200
        assert answer.header("Content-Type") == "application/ocsp-response"
        assert "max-age=" in (answer.header("Cache-Control") or "")
        for name in ("Expires", "Last-Modified"):
            assert email.utils.parsedate_to_datetime(answer.header(name) or "")
        kept = tmp_path / "answer.der"
        kept.write_bytes(answer.body)
        assert verifier.reads("good", kept)
        assert answer.header("ETag")

    def test_several_questions_in_one_request_get_as_many_answers(self, portal, verifier, _unused_meters):
        second = next(_unused_meters)
        portal.revoke(second)
        result = verifier.ocsp(
            "-issuer", verifier.device.issuer, "-cert", verifier.device.certificate, "-cert", second.certificate,
            "-url", verifier.url,
        )  # fmt: skip
        assert f"{verifier.device.certificate}: good" in result.output
        assert f"{second.certificate}: revoked" in result.output

    def test_junk_is_a_malformed_request(self, responder, curl):
        answer = curl.post(responder, b"junk", content_type=_REQUEST)
        assert answer.status == 200
        assert ocsp.load_der_ocsp_response(answer.body).response_status == ocsp.OCSPResponseStatus.MALFORMED_REQUEST

    def test_a_body_larger_than_any_request_is_refused(self, responder, curl):
        assert curl.post(responder, bytes(300_000), content_type=_REQUEST).status == 413


class TestCrl:
    @pytest.fixture
    def url(self, portal) -> str:
        return f"{portal.status_url}/crl/mfg-1/0.crl"

    @pytest.fixture
    def fetched(self, url, curl, tmp_path):
        """Fetch the CRL as it is now, as a PEM file."""

        def fetch() -> Path:
            der, pem = tmp_path / "now.crl", tmp_path / "now.pem"
            der.write_bytes(curl.get(url).body)
            assert run("openssl", "crl", "-inform", "DER", "-in", der, "-out", pem).ok
            return pem

        return fetch

    def _verify(self, device: LabDevice, crl: Path) -> Result:
        return run(
            "openssl", "verify", "-x509_strict", "-crl_check", "-CRLfile", crl,
            "-CAfile", device.root, "-untrusted", device.issuer, device.certificate,
        )  # fmt: skip

    def test_openssl_accepts_its_signature_number_and_dates(self, fetched, meter):
        pem = fetched()
        assert "verify OK" in run("openssl", "crl", "-in", pem, "-noout", "-CAfile", meter.issuer).output
        crl = x509.load_pem_x509_crl(pem.read_bytes())
        assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number > 0
        assert crl.next_update_utc
        assert crl.last_update_utc <= datetime.now(UTC) < crl.next_update_utc

    def test_it_is_the_one_that_the_certificate_names(self, url, fetched, meter):
        [point] = meter.x509.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        assert [name.value for name in point.full_name or ()] == [url]
        crl = x509.load_pem_x509_crl(fetched().read_bytes())
        own = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
        assert own.critical
        assert own.value.full_name == point.full_name

    def test_a_revocation_is_in_it_within_a_minute(self, portal, fetched, meter):
        before = x509.load_pem_x509_crl(fetched().read_bytes())
        assert self._verify(meter, fetched()).ok
        portal.revoke(meter)
        until(lambda: not self._verify(meter, fetched()).ok, seconds=60, what="The publication of a CRL")
        result = self._verify(meter, fetched())
        assert "certificate revoked" in result.output
        after = x509.load_pem_x509_crl(fetched().read_bytes())
        numbers = [each.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for each in (before, after)]
        assert numbers[0] < numbers[1]

    def test_it_is_not_sent_twice_to_a_client_that_has_it(self, url, curl):
        answer = curl.get(url)
        assert answer.header("Content-Type") == "application/pkix-crl"
        assert answer.header("Content-Length") == str(len(answer.body))
        again = curl.get(url, "-H", f"If-None-Match: {answer.header('ETag')}")
        assert again.status in (200, 304)
        assert (again.status == 304) == (again.header("ETag") == answer.header("ETag"))

    def test_every_authority_of_the_chain_has_one(self, portal, curl):
        """nginx and Mosquitto refuse every client without the root's too."""
        for authority in ("root", "mfg-1"):
            for scope in ("0", "all"):
                answer = curl.get(f"{portal.status_url}/crl/{authority}/{scope}.crl")
                assert x509.load_der_x509_crl(answer.body).last_update_utc <= datetime.now(UTC)

    def test_the_issuer_named_in_a_certificate_is_where_it_says(self, portal, meter, curl):
        access = meter.x509.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        [where] = [each.access_location.value for each in access if each.access_method._name == "caIssuers"]
        issuer = x509.load_der_x509_certificate(curl.get(where).body)
        meter.x509.verify_directly_issued_by(issuer)
