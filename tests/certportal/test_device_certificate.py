"""The device plane's own certificate: always one that serves, always one pair, renewed in time and only then."""

import stat
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certportal import device_certificate
from certportal.gunicorn.device_tls import TlsFiles, context_for
from inventory.models import Certificate, Purpose
from inventory.private_files import write_whole
from renewal.simulation.virtual_device import key_pem
from tests.factories import DAY, NOW, authority, key, root

pytestmark = pytest.mark.django_db


@pytest.fixture
def files(tmp_path, settings):
    settings.HOME, keys = tmp_path, settings.HOME / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    (tmp_path / "keys").symlink_to(keys)
    authority()
    return TlsFiles.of(tmp_path)


def served(files: TlsFiles) -> x509.Certificate:
    leaf, *above = x509.load_pem_x509_certificates(files.certificate.read_bytes())
    own_key = load_pem_private_key(files.key.read_bytes(), None)
    assert own_key.public_key() == leaf.public_key()
    assert above == [authority().x509]
    context_for(files)
    return leaf


def issuer_of(files: TlsFiles) -> x509.Name:
    return x509.load_pem_x509_certificates(files.certificate.read_bytes())[0].issuer


def issued() -> int:
    return Certificate.objects.filter(purpose=Purpose.TLS_SERVER).count()


def test_before_there_is_an_authority_nothing_is_written(tmp_path, settings):
    settings.HOME = tmp_path
    device_certificate.ensure(NOW)
    assert list(tmp_path.iterdir()) == []


def test_the_files_are_one_pair_in_the_inventory_and_for_their_owner_alone(files):
    device_certificate.ensure(NOW)
    leaf = served(files)
    stored = Certificate.objects.get(purpose=Purpose.TLS_SERVER)
    assert stored.x509 == leaf
    assert stat.S_IMODE(files.key.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.key.parent.iterdir()} == {0o600}


def test_a_second_look_changes_nothing(files):
    device_certificate.ensure(NOW)
    before = files.fingerprint()
    device_certificate.ensure(NOW + DAY)
    assert files.fingerprint() == before
    assert issued() == 1


def test_an_authority_below_a_revoked_one_signs_nothing_more(files):
    device_certificate.ensure(NOW)
    revoked = {"state": "revoked", "revoked_at": NOW, "revocation_reason": "cessationOfOperation"}
    Certificate.objects.filter(subject_authority=authority()).update(**revoked)
    device_certificate.ensure(NOW + 89 * DAY)
    assert issued() == 1
    other = authority("mfg-2")
    device_certificate.ensure(NOW + 89 * DAY)
    assert issuer_of(files) == other.x509.subject


def test_it_is_renewed_thirty_days_before_its_end(files):
    device_certificate.ensure(NOW)
    due = served(files).not_valid_after_utc - 30 * DAY
    device_certificate.ensure(due - timedelta(seconds=1))
    assert issued() == 1
    device_certificate.ensure(due)
    assert issued() == 2
    assert served(files).not_valid_after_utc == due + 90 * DAY


@pytest.mark.parametrize(
    ("bind", "public", "names"),
    [
        ("127.0.0.1:8443", "https://127.0.0.1:8443", ["127.0.0.1"]),
        ("0.0.0.0:8443", "https://EST.example", ["est.example"]),
        ("[::]:8443", "https://[2001:DB8::1]:8443", ["2001:db8::1"]),
        ("[0:0:0:0:0:0:0:1]:8443", "https://est.example/base", ["est.example", "::1"]),
    ],
)
def test_it_names_every_host_by_which_devices_come_in_one_spelling(files, settings, bind, public, names):
    settings.DEVICE_BIND, settings.PUBLIC_DEVICE_URL = bind, public
    device_certificate.ensure(NOW)
    device_certificate.ensure(NOW)
    found = served(files).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in found] == names
    assert issued() == 1


def test_another_public_address_is_named_at_once(files, settings):
    device_certificate.ensure(NOW)
    settings.PUBLIC_DEVICE_URL = "https://est.example"
    device_certificate.ensure(NOW)
    found = served(files).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "est.example" in found.get_values_for_type(x509.DNSName)


@pytest.mark.parametrize("damage", ["key of another", "no key", "no certificate", "empty key", "junk certificate"])
def test_files_that_do_not_fit_are_made_anew(files, damage):
    device_certificate.ensure(NOW)
    if damage == "key of another":
        # A crash between the two writes of a renewal leaves this.
        write_whole(files.key, key_pem(key()))
    elif damage.startswith("no "):
        (files.key if damage == "no key" else files.certificate).unlink()
    else:
        write_whole(files.key if damage == "empty key" else files.certificate, b"junk" if "junk" in damage else b"")
    device_certificate.ensure(NOW)
    served(files)


def test_a_certificate_of_another_authority_is_replaced(files):
    # Of authorities that end together the oldest signs, so the certificate does not change hands at every look.
    stranger, own = authority("stranger"), Certificate.objects.filter(pk=authority().certificate_id)
    own.update(state="revoked", revoked_at=NOW, revocation_reason="cACompromise")
    device_certificate.ensure(NOW)
    assert issuer_of(files) == stranger.x509.subject
    own.update(state="issued", revoked_at=None, revocation_reason="")
    for _ in range(3):
        device_certificate.ensure(NOW)
        assert issuer_of(files) == authority().x509.subject
    assert issued() == 2


def test_every_established_authority_is_one_whose_devices_may_connect(files):
    device_certificate.ensure(NOW)
    other = authority("other")
    device_certificate.ensure(NOW)
    trusted = x509.load_pem_x509_certificates(files.client_authorities.read_bytes())
    assert set(trusted) == {root().x509, authority().x509, other.x509}
    assert issued() == 1


def test_devices_are_given_the_root_to_trust(files):
    device_certificate.ensure(NOW)
    assert x509.load_pem_x509_certificate((files.key.parent / "root.pem").read_bytes()) == root().x509
