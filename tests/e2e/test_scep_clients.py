"""SCEP with clients of others: strongSwan's `pki`, and micromdm's `scepclient` as Debian has it."""

import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.e2e.peers import peer, run

LABELS = ("scep-north", "scep-south")
# A fleet whose devices may renew from their first day on.
_FLEETS = """
from datetime import timedelta
from django.utils import timezone
from inventory.models import Device, Fleet, Profile
signer = Fleet.objects.get(slug="demo").authority
for label in {labels!r}:
    rules = dict(name=label, validity=timedelta(30), renewal_window=timedelta(30), key_types=["rsa-2048"])
    profile = Profile.objects.create(slug=label, subject_template="CN={{serial}},O=Grid", **rules)
    fleet = Fleet.objects.create(slug=label, name=label, profile=profile, authority=signer)
    for number in range(3):
        Device.objects.create(fleet=fleet, serial=f"S{{number}}", registered_at=timezone.now())
"""


@pytest.fixture(scope="module", params=LABELS)
def label(portal, request):
    if not portal.number("SELECT count(*) FROM inventory_fleet WHERE slug = %s", request.param):
        portal.manage("shell", "-c", _FLEETS.format(labels=LABELS))
    return request.param


@pytest.fixture
def url(portal, label):
    return f"{portal.status_url}/scep/{label}"


@pytest.fixture
def challenge(portal, label):
    return lambda serial: portal.manage("enrolment_secret", serial, "--fleet", label, "--protocol", "scep")


@pytest.fixture
def authorities(url, tmp_path):
    """The options by which strongSwan trusts what GetCACert told it."""
    ca, ra = tmp_path / "ca.crt", tmp_path / "ra.crt"
    result = run("pki", "--scepca", "--url", url, "--caout", ca, "--raout", ra, "--outform", "der", "--force")
    assert result.ok, result.output
    chain = sorted(tmp_path.glob("ca*.crt"))
    assert len(chain) == 2, result.output
    trusted = [word for each in chain for word in ("--cacert", each)]
    return ["--cacert-enc", ra, "--cacert-sig", ra, *trusted, "--interval", "1", "--maxpolltime", "10"]


@pytest.fixture
def keys(tmp_path):
    made = [tmp_path / f"key-{number}.pem" for number in range(2)]
    for file in made:
        assert run("openssl", "genrsa", "-out", file, "2048").ok
    return made


def asked(url, key, name, authorities, *more):
    return run("pki", "--scep", "--url", url, "--in", key, "--dn", name, *authorities, "--outform", "pem", *more)


def certificate(result) -> x509.Certificate:
    assert result.ok, result.output
    return x509.load_pem_x509_certificate(result.output[result.output.index("-----BEGIN") :].encode())


def test_strongswan_enrols_once_by_a_challenge_and_renews_by_its_certificate(
    url, challenge, authorities, keys, tmp_path
):
    secret = challenge("S0")
    assert not asked(url, keys[0], "CN=S0", authorities, "--password", "wrong").ok
    first = asked(url, keys[0], "CN=S0", authorities, "--password", secret)
    assert certificate(first).subject.rfc4514_string() == "CN=S0,O=Grid"
    assert not asked(url, keys[1], "CN=S0", authorities, "--password", secret).ok
    current = tmp_path / "current.pem"
    current.write_text(first.output[first.output.index("-----BEGIN") :])
    # strongSwan writes names in the order in which they are encoded.
    renewed = asked(url, keys[1], "O=Grid, CN=S0", authorities, "--cert", current, "--key", keys[0])
    assert certificate(renewed).subject == certificate(first).subject
    assert certificate(renewed).public_key() != certificate(first).public_key()


def test_single_des_is_refused_by_name_and_keeps_the_challenge(portal, label, url, challenge, tmp_path):
    secret = challenge("S1")
    answer = subprocess.run(
        [peer("curl"), "-sS", "--noproxy", "*", f"{url}?operation=GetCACert"], capture_output=True, check=True
    )
    listed = run("openssl", "pkcs7", "-inform", "DER", "-print_certs", stdin=answer.stdout).output
    found = x509.load_pem_x509_certificates(listed.encode())
    [registrar] = [each for each in found if "SCEP RA" in each.subject.rfc4514_string()]
    result = run(
        "scepclient", "-server-url", url, "-challenge", secret, "-cn", "S1", "-private-key", tmp_path / "key.pem",
        "-certificate", tmp_path / "cert.pem", "-ca-fingerprint", registrar.fingerprint(hashes.SHA256()).hex(),
    )  # fmt: skip
    assert "badAlg" in result.output
    spent = portal.number(
        "SELECT count(*) FROM renewal_enrolmentsecret s JOIN inventory_device d ON d.id = s.device_id "
        "JOIN inventory_fleet f ON f.id = d.fleet_id WHERE f.slug = %s AND d.serial = 'S1' AND s.spent_at IS NOT NULL",
        label,
    )
    assert spent == 0
