"""The public corpora and their mutants thrown at the listeners: no failure, no dropped connection, nothing issued."""

import base64
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cryptography_vectors
import pytest
import requests
from cryptography.x509 import ocsp

from tests.mutants import mutated

_VECTORS = Path(cryptography_vectors.__file__).parent
_MUTANTS = 400
_SEED = 20270301
_EDGES = {
    "empty": b"",
    "one byte": b"\x30",
    "indefinite lengths, nested deep": b"\x30\x80" * 5000,
    "sequences, nested deep": b"\x30\x82\x0f\xff" * 4000,
    "a megabyte of zeros": bytes(10**6),
    "an absurd length": b"\x30\x84\xff\xff\xff\xff",
    "NUL text": b"\0" * 100,
}


def corpus(*folders: str) -> dict[str, bytes]:
    files = sorted(file for folder in folders for file in (_VECTORS / folder).iterdir() if file.suffix != ".py")
    return {str(file.relative_to(_VECTORS)): _der(file.read_bytes()) for file in files if file.is_file()}


def _der(content: bytes) -> bytes:
    if b"-----BEGIN" not in content:
        return content
    armoured = content.split(b"-----BEGIN", 1)[1].split(b"-----", 1)[1].split(b"-----END")[0]
    return base64.b64decode(b"".join(line for line in armoured.splitlines() if b":" not in line))


def mutants(seeds: dict[str, bytes], count: int) -> Iterator[tuple[str, bytes]]:
    """Yield `count` variations, the same at each run."""
    draw = random.Random(_SEED)  # noqa: S311  (repeatable, no secret)
    names = sorted(seeds)
    for number in range(count):
        name = draw.choice(names)
        yield f"mutant {number} of {name}", mutated(seeds[name], draw)


def cases(seeds: dict[str, bytes]) -> dict[str, bytes]:
    return {**seeds, **_EDGES, **dict(mutants(seeds, _MUTANTS))}


@pytest.fixture
def session(portal):
    with requests.Session() as made:
        made.trust_env = False
        made.verify = str(portal.root)
        yield made


def test_est_issues_nothing_for_any_of_them(portal, meter, session, issued):
    session.cert = (str(meter.certificate), str(meter.key))
    seen: Counter[int] = Counter()
    for name, body in cases(corpus("x509/requests", "pkcs7")).items():
        answer = session.post(
            f"{portal.est_url}/simplereenroll",
            data=base64.b64encode(body),
            headers={"Content-Type": "application/pkcs10"},
            timeout=15,
        )
        assert answer.status_code in (400, 403, 413), (name, answer.status_code, answer.text[:200])
        assert answer.text.count("\n") == 1, (name, answer.text[:200])
        seen[answer.status_code] += 1
    # Whole requests are among them: they fail by their names.
    assert seen[403] > 0
    assert issued(meter) == 1


def test_ocsp_answers_every_one_of_them_and_never_good(portal, session):
    for name, body in cases(corpus("x509/ocsp")).items():
        answer = session.post(
            f"{portal.status_url}/ocsp/mfg-1/",
            data=body,
            headers={"Content-Type": "application/ocsp-request"},
            timeout=15,
        )
        assert answer.status_code in (200, 413), (name, answer.status_code, answer.text[:200])
        if answer.status_code == 200:
            parsed = ocsp.load_der_ocsp_response(answer.content)
            assert parsed.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL or (
                parsed.certificate_status != ocsp.OCSPCertStatus.GOOD
            ), name


def test_scep_takes_none_of_them_for_a_message(portal, session):
    for name, body in cases(corpus("pkcs7", "x509/requests")).items():
        answer = session.post(
            f"{portal.status_url}/scep/demo?operation=PKIOperation",
            data=body,
            headers={"Content-Type": "application/x-pki-message"},
            timeout=15,
        )
        assert answer.status_code in (400, 413), (name, answer.status_code, answer.text[:200])
        assert answer.text.count("\n") == 1, (name, answer.text[:200])
