"""EST with curl: what a device may ask, and every request that must not work."""

import base64

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.e2e.lab import request_for
from tests.e2e.peers import Answer, as_client, run

_CERTS_ONLY = "application/pkcs7-mime; smime-type=certs-only"
# strongSwan 5.9.8 reads 1,024 bytes of headers.
_LARGEST_HEAD = 1000


def encoded(der: bytes) -> bytes:
    return base64.b64encode(der)


class TestAnswers:
    def test_cacerts_is_the_chain_in_the_form_that_strict_clients_demand(self, portal, meter, curl):
        answer = curl.get(f"{portal.est_url}/cacerts")
        assert {each.subject for each in answer.certificates} == {
            meter.x509.issuer,
            next(each.issuer for each in answer.certificates if each.issuer == each.subject),
        }
        assert answer.header("Content-Type") == _CERTS_ONLY
        assert answer.header("Content-Length") == str(len(answer.body))
        assert len(answer.head) < _LARGEST_HEAD
        assert max(map(len, answer.body.split())) == 64

    def test_a_client_that_names_no_agent_gets_one_line(self, portal, curl):
        answer = curl.get(f"{portal.est_url}/cacerts", "-H", "User-Agent:")
        assert len(answer.body.split()) == 1
        assert len(answer.certificates) == 2

    def test_csrattrs_are_what_openssl_reads(self, portal, curl):
        answer = curl.get(f"{portal.est_url}/csrattrs")
        assert (answer.status, answer.header("Content-Type")) == (200, "application/csrattrs")
        read = run("openssl", "asn1parse", "-inform", "DER", stdin=base64.b64decode(answer.body))
        assert "id-ecPublicKey" in read.output and "prime256v1" in read.output

    def test_a_renewal_is_exactly_the_new_certificate(self, portal, meter, curl):
        request = meter.renewal_request()
        answer = curl.post(f"{portal.est_url}/simplereenroll", encoded(request), *as_client(meter))
        [renewed] = answer.certificates
        assert renewed.subject == meter.x509.subject
        assert answer.header("Content-Type") == _CERTS_ONLY
        assert answer.header("Content-Length") == str(len(answer.body))
        assert len(answer.head) < _LARGEST_HEAD

    def test_a_secret_enrols_once(self, portal, meter, curl):
        user = f"{meter.serial}:{portal.enrolment_secret(meter.serial)}"
        url = f"{portal.est_url}/simpleenroll"
        first = curl.post(url, encoded(request_for("CN=anything")), "-u", user)
        assert len(first.certificates) == 1
        second = curl.post(url, encoded(request_for("CN=anything")), "-u", user)
        assert second.status == 401
        assert "spent" in second.line

    def test_chunked_wrapped_base64_behind_an_expectation(self, portal, meter, curl):
        wrapped = base64.encodebytes(meter.renewal_request()).replace(b"\n", b"\r\n")
        answer = curl.post(
            f"{portal.est_url}/simplereenroll",
            wrapped,
            *as_client(meter),
            "-H", "Transfer-Encoding: chunked",
            "-H", "Expect: 100-continue",
        )  # fmt: skip
        assert len(answer.certificates) == 1

    def test_the_same_request_again_is_the_same_certificate(self, portal, meter, curl, issued):
        body, url = encoded(meter.renewal_request()), f"{portal.est_url}/simplereenroll"
        first, again = (curl.post(url, body, *as_client(meter)).certificates for _ in range(2))
        assert first == again
        assert issued(meter) == 2


# Name: (operation, body, options of curl, content type, status). {request} is a good one for this device.
WRONG = {
    "no credentials at enrolment": ("simpleenroll", None, [], "application/pkcs10", 401),
    "no credentials at renewal": ("simplereenroll", None, [], "application/pkcs10", 401),
    "wrong secret": ("simpleenroll", None, ["-u", "nobody:wrong"], "application/pkcs10", 401),
    "empty body": ("simplereenroll", b"", [], "application/pkcs10", 400),
    "garbage": ("simplereenroll", b"AAAA", [], "application/pkcs10", 400),
    "no base64": ("simplereenroll", b"\xff\xfe%%%", [], "application/pkcs10", 400),
    "300 kB": ("simplereenroll", b"A" * 300_000, [], "application/pkcs10", 413),
    "300 kB, chunked": (
        "simplereenroll", b"A" * 300_000, ["-H", "Transfer-Encoding: chunked"], "application/pkcs10", 413,
    ),
    "300 kB behind an expectation": (
        "simplereenroll", b"A" * 300_000, ["-H", "Expect: 100-continue"], "application/pkcs10", 413,
    ),
    "wrong content type": ("simplereenroll", None, [], "text/html", 415),
    "PUT": ("simplereenroll", None, ["-X", "PUT"], "application/pkcs10", 405),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_gets_its_status_and_one_line_that_says_why(portal, meter, curl, issued, case):
    operation, body, options, content_type, status = WRONG[case]
    body = encoded(meter.renewal_request()) if body is None else body
    anonymous = status == 401
    answer = curl.post(
        f"{portal.est_url}/{operation}",
        body,
        *([] if anonymous else as_client(meter)),
        *options,
        content_type=content_type,
    )
    assert answer.status == status
    assert len(answer.line) > 20
    assert len(answer.head) < _LARGEST_HEAD
    assert issued(meter) == 1


@pytest.mark.parametrize("path", ["/.well-known/est/no-such-label/cacerts", "/.well-known/est/demo/keygen", "/"])
def test_an_unknown_address_is_not_found(portal, curl, path):
    answer = curl.get(portal.device_url + path)
    assert answer.status == 404
    assert answer.line


def test_reading_from_an_enrolment_address_is_not_allowed(portal, curl):
    answer = curl.get(f"{portal.est_url}/simpleenroll")
    assert answer.status == 405
    assert answer.header("Allow") == "POST"


def test_a_request_whose_signature_is_broken_proves_no_key(portal, meter, curl, issued):
    request = bytearray(meter.renewal_request())
    request[-1] ^= 1
    answer = curl.post(f"{portal.est_url}/simplereenroll", encoded(bytes(request)), *as_client(meter))
    assert answer.status == 400
    assert "signature" in answer.line
    assert issued(meter) == 1


def test_guessing_secrets_is_braked(portal, meter, curl):
    portal.enrolment_secret(meter.serial)
    body, url = encoded(request_for("CN=anything")), f"{portal.est_url}/simpleenroll"
    answers: list[Answer] = []
    # Ten in a minute are answered with their reason: on a slow machine a minute goes by before.
    while len(answers) < 200 and (not answers or answers[-1].status == 401):
        answers.append(curl.post(url, body, "-u", f"{meter.serial}:wrong"))
    assert answers[-1].status == 429
    assert int(answers[-1].header("Retry-After") or 0) > 0


HEADERS = [
    "X-SSL-Client-Cert",
    "X-Client-Cert",
    "X-SSL-Client-Verify",
    "X-SSL_Client_Cert",
    "X_SSL_CLIENT_CERT",
    "X-SSL--Client-Cert",
    "X--Client-Cert",
    "Client-Cert",
    "Client_Cert",
    "Ssl-Client-Cert",
    "SSL_CLIENT_CERT",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Tls-Client-Cert",
    "gunicorn.socket",
]


@pytest.mark.parametrize("header", HEADERS)
def test_a_certificate_in_a_header_is_nobody(portal, meter, curl, issued, header):
    value = base64.b64encode(meter.x509.public_bytes(Encoding.DER)).decode()
    answer = curl.post(
        f"{portal.est_url}/simplereenroll",
        encoded(meter.renewal_request()),
        "-H", f"{header}: {value}",
        "-H", f"{header}-Verify: SUCCESS",
    )  # fmt: skip
    assert answer.status in (400, 401)
    assert issued(meter) == 1
