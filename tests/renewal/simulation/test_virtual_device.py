"""A meter loses power wherever it likes and is never locked out, never asks for more than one certificate."""

import base64
import hashlib
import sys
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs7
from django.test import Client
from django.utils import timezone

from inventory.models import Certificate
from inventory.sightings import find_usable
from renewal.simulation import virtual_device
from renewal.simulation.est_client import EstError
from renewal.simulation.virtual_device import Flash, key_pem, renew
from tests.factories import DAY, Enrolled, enrolled, profile
from tests.renewal.ways_in import Listener

pytestmark = [pytest.mark.django_db, pytest.mark.urls("certportal.urls.device")]


class InProcess:
    """The EST client's part, without the network: the portal's own views answer."""

    def cacerts(self, identity):
        return self._ask("get", "cacerts", identity)

    def simplereenroll(self, identity, request):
        body = base64.b64encode(request.public_bytes(Encoding.DER))
        [issued] = self._ask("post", "simplereenroll", identity, body, content_type="application/pkcs10")
        return issued

    def _ask(self, method: str, operation: str, identity: Path, *body: bytes, **options: Any) -> list[x509.Certificate]:
        pem = identity.read_bytes()
        certificate = x509.load_pem_x509_certificate(pem)
        assert load_pem_private_key(pem, None).public_key() == certificate.public_key()
        der = certificate.public_bytes(Encoding.DER)
        path = f"/.well-known/est/demo/{operation}"
        response = getattr(Client(), method)(path, *body, **options, **{"gunicorn.socket": Listener(der)})
        if response.status_code != 200:
            raise EstError(f"{response.status_code} {response.content.decode()}")
        return pkcs7.load_der_pkcs7_certificates(base64.b64decode(response.content))


class PowerCut(BaseException):
    pass


class Power:
    """Fails before the `line`-th line of the firmware."""

    def __init__(self, line: int) -> None:
        self._left = line

    def __enter__(self) -> None:
        sys.settrace(self._follow)

    def __exit__(self, *_error: object) -> None:
        sys.settrace(None)

    def _follow(self, frame: FrameType, event: str, _argument: object) -> Any:
        if frame.f_code.co_filename != virtual_device.__file__:
            return None
        if event == "line":
            self._left -= 1
            if self._left == 0:
                raise PowerCut
        return self._follow


@pytest.fixture
def meter(db) -> Enrolled:
    profile(renewal_window=365 * DAY, san_templates=["URI:urn:dev:{serial}"])
    return enrolled(expires_in=30 * DAY, now=timezone.now())


def flash_of(meter: Enrolled, directory) -> Flash:
    directory.mkdir()
    flash = Flash(directory)
    flash.current.write_bytes(key_pem(meter.private_key) + meter.certificate.x509.public_bytes(Encoding.PEM))
    return flash


def usable(certificate: x509.Certificate) -> bool:
    sha256 = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    return find_usable(sha256, timezone.now()) is not None


def in_use(flash: Flash) -> x509.Certificate:
    """Return the certificate that the firmware goes on with: what was fetched, else what it had."""
    return x509.load_pem_x509_certificate((flash.next if flash.next.exists() else flash.current).read_bytes())


def issued(meter: Enrolled) -> int:
    return Certificate.objects.filter(device=meter.device).count()


def test_a_renewal_ends_with_the_new_certificate_in_use_and_a_clean_flash(meter, tmp_path):
    flash = flash_of(meter, tmp_path / "flash")
    new = renew(flash, InProcess())
    assert new == flash.certificate() != meter.certificate.x509
    assert [path.name for path in flash.directory.iterdir()] == ["current.pem"]
    assert usable(new)
    assert not usable(meter.certificate.x509)


def test_power_cuts_anywhere_leave_a_certificate_that_works_and_a_renewal_that_goes_on(db, tmp_path):
    profile(renewal_window=365 * DAY)
    for line in count(1):
        meter = enrolled(expires_in=30 * DAY, now=timezone.now())
        flash = flash_of(meter, tmp_path / str(line))
        try:
            with Power(line):
                renew(flash, InProcess())
            break
        except PowerCut:
            pass
        assert usable(in_use(flash)), f"locked out by a power cut before line {line}"
        if flash.certificate() == meter.certificate.x509:
            renew(flash, InProcess())
        assert issued(meter) == 2, f"a power cut before line {line} cost a certificate"
        assert usable(flash.certificate())
        # What the cut left behind must not spoil the renewal after.
        renew(flash, InProcess())
        assert issued(meter) == 3
    assert line > 10


def test_power_cuts_before_every_line_one_after_another_still_come_to_an_end(meter, tmp_path):
    flash = flash_of(meter, tmp_path / "flash")
    for line in count(1):
        try:
            with Power(line):
                renew(flash, InProcess())
            break
        except PowerCut:
            assert usable(in_use(flash))
    assert issued(meter) <= 3


def test_a_refusal_leaves_the_current_certificate_in_use(meter, tmp_path):
    profile(renewal_window=1 * DAY)
    flash = flash_of(meter, tmp_path / "flash")
    with pytest.raises(EstError, match="Renewal opens on"):
        renew(flash, InProcess())
    assert flash.certificate() == meter.certificate.x509
    profile(renewal_window=365 * DAY)
    assert renew(flash, InProcess()) != meter.certificate.x509
