"""A certificate is found by its issuer's name as OpenSSL writes it, whether or not the issuer's own is known."""

import json
import subprocess
from datetime import timedelta

import pytest
from cryptography import x509

from inventory.audit.record import SYSTEM
from inventory.models import Authority, Certificate, Device, UnexpectedSighting
from inventory.sightings import Sighting, SightingOutcome, record_sightings
from inventory.sightings.identifiers import IssuerAndSerial
from inventory.sightings.logs import nginx
from tests.factories import NOW, fleet
from tests.inventory.importing.foreign import ForeignAuthority, imported, pem, write_csv

SECOND = timedelta(seconds=1)
ODD = [
    "1.2.840.113549.1.9.1=ca@example.com,CN=Old CA,O=Zähler\\, Inc.",
    "2.5.4.5=0815,CN=Old CA,DC=old,DC=example",
    "CN=Old CA+2.5.4.5=7,1.3.6.1.4.1.99999.1=line 4",
]


LONG = "O=" + "計" * 64 + ",OU=" + "器" * 64
LINE = {"msec": f"{(NOW - SECOND).timestamp():.3f}", "verify": "SUCCESS", "fingerprint": "0" * 40}


def issuer_by_openssl(certificate: x509.Certificate) -> str:
    command = ["openssl", "x509", "-nameopt", "RFC2253", "-noout", "-issuer"]
    found = subprocess.run(command, input=pem(certificate).encode(), capture_output=True, check=True)
    return found.stdout.decode().rstrip("\n").removeprefix("issuer=")


def outcomes(*sightings: Sighting) -> list[SightingOutcome]:
    results = record_sightings(sightings, NOW, SYSTEM)
    assert not [each.reason for each in results if each.reason]
    return [each.outcome for each in results]


def seen(issuer: str, certificate: x509.Certificate) -> Sighting:
    return Sighting(NOW - SECOND, IssuerAndSerial(issuer, f"{certificate.serial_number:x}"))


@pytest.fixture
def take_in(db, tmp_path):
    """Import certificates, each of a device of its own, and nothing of their issuers."""
    owner = fleet()

    def take_in(*certificates: x509.Certificate) -> None:
        rows = [{"device_serial": each.subject.rfc4514_string()[3:], "certificate": pem(each)} for each in certificates]
        run = imported(write_csv(tmp_path / "leaves.csv", rows), owner)
        assert (run.records, run.rejected) == (len(certificates), 0)

    return take_in


@pytest.mark.parametrize("name", ODD)
def test_a_device_of_an_authority_without_a_certificate_is_found_by_the_name_in_its_own(take_in, name):
    leaf = ForeignAuthority(name).signs("CN=MTR-1")
    take_in(leaf)
    assert [each.certificate for each in Authority.objects.external()] == [None]
    assert outcomes(seen(issuer_by_openssl(leaf), leaf)) == [SightingOutcome.CONFIRMED]
    assert Device.objects.get(serial="MTR-1").last_seen_at == NOW - SECOND
    assert not UnexpectedSighting.objects.exists()


@pytest.mark.parametrize("name", ODD)
def test_it_is_found_when_the_certificate_of_the_issuer_is_known(take_in, tmp_path, name):
    old = ForeignAuthority(name)
    leaf = old.signs("CN=MTR-1")
    take_in(leaf)
    path = tmp_path / "issuer.pem"
    path.write_text(pem(old.certificate))
    imported(path, None)
    assert Authority.objects.external().get(issued_certificates__serial=f"{leaf.serial_number:x}").certificate
    assert outcomes(seen(issuer_by_openssl(leaf), leaf)) == [SightingOutcome.CONFIRMED]


def test_a_long_name_is_found_from_a_line_of_nginx_and_is_told_apart_where_it_is_not(take_in):
    leaf, unknown = ForeignAuthority(LONG).signs("CN=MTR-1"), ForeignAuthority(LONG).signs("CN=MTR-2")
    take_in(leaf)
    lines = [
        nginx(json.dumps({**LINE, "issuer": issuer_by_openssl(each), "serial": f"{each.serial_number:X}"}))
        for each in (leaf, unknown)
    ]
    assert outcomes(*lines) == [SightingOutcome.CONFIRMED, SightingOutcome.UNKNOWN]
    assert UnexpectedSighting.objects.get().name.endswith(f"/{unknown.serial_number:x}")


def test_two_authorities_of_one_name_are_told_apart_by_the_serial_number(take_in):
    leaves = [ForeignAuthority(ODD[0]).signs(f"CN=MTR-{number}") for number in range(2)]
    take_in(*leaves)
    assert outcomes(*[seen(issuer_by_openssl(leaf), leaf) for leaf in leaves]) == [SightingOutcome.CONFIRMED] * 2


def test_another_authority_with_that_serial_number_is_not_meant(take_in):
    leaf = ForeignAuthority(ODD[0]).signs("CN=MTR-1")
    take_in(leaf)
    other = issuer_by_openssl(leaf).replace("ca@", "cb@")
    assert outcomes(seen(other, leaf), seen("CN=Old CA", leaf)) == [SightingOutcome.UNKNOWN] * 2


def test_an_authority_that_comes_later_is_found_by_a_process_that_has_read_names_before(take_in):
    first, second = (ForeignAuthority(f"CN=CA {number}").signs(f"CN=MTR-{number}") for number in range(2))
    take_in(first)
    assert outcomes(seen("CN=CA 1", second)) == [SightingOutcome.UNKNOWN]
    take_in(second)
    assert outcomes(seen("CN=CA 1", second)) == [SightingOutcome.CONFIRMED]


def test_a_certificate_that_is_damaged_here_keeps_no_other_issuer_from_being_found(take_in):
    damaged, leaf = ForeignAuthority("CN=Damaged CA").signs("CN=MTR-0"), ForeignAuthority(ODD[0]).signs("CN=MTR-1")
    take_in(damaged, leaf)
    Certificate.objects.filter(device__serial="MTR-0").update(der=b"0\x01")
    assert outcomes(seen("CN=Damaged CA", damaged), seen(issuer_by_openssl(leaf), leaf)) == [
        SightingOutcome.UNKNOWN,
        SightingOutcome.CONFIRMED,
    ]


def test_names_are_read_once_a_process(take_in, django_assert_num_queries):
    leaf = ForeignAuthority(ODD[0]).signs("CN=MTR-1")
    take_in(leaf)
    name = issuer_by_openssl(leaf)
    outcomes(seen(name, leaf))
    with django_assert_num_queries(3):
        assert outcomes(seen(name, leaf)) == [SightingOutcome.OLDER]
