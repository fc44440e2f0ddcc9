"""EST by certificates that must not work: another's, ended, withdrawn, forged, or made for something else."""

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e.lab import LabDevice, impostor, request_for, write_party
from tests.e2e.peers import Curl, NoAnswer, as_client

pytestmark = pytest.mark.long(120)
# Every address that issues for a certificate; one that is added must be named here.
WAYS_IN = [
    "/.well-known/est/demo/simplereenroll",
    "/.well-known/est/demo/simpleenroll",
    "/demo/.well-known/est/simplereenroll",
    "/demo/.well-known/est/simpleenroll",
    "/.well-known/est/simplereenroll",
    "/.well-known/est/simpleenroll",
]


def encoded(der: bytes) -> bytes:
    return base64.b64encode(der)


@pytest.fixture
def other(_unused_meters) -> LabDevice:
    return next(_unused_meters)


@pytest.fixture
def refusals(portal):
    """How many renewals of a device the audit log says were refused."""
    return lambda device: portal.number(
        "SELECT count(*) FROM inventory_auditevent e JOIN inventory_device d ON d.id = e.device_id "
        "WHERE e.action = 'certificate:renewal:refused' AND d.serial = %s",
        device.serial,
    )


def renew(curl: Curl, url: str, device: LabDevice, request: bytes):
    return curl.post(url, encoded(request), *as_client(device))


class TestNames:
    """RFC 7030 4.2.2: the names of the request are those of the certificate, and both are the device's."""

    def test_another_devices_name(self, portal, meter, other, curl, refusals):
        answer = renew(curl, f"{portal.est_url}/simplereenroll", other, meter.renewal_request())
        assert answer.status == 403
        assert other.serial in answer.line
        assert refusals(other) == 1

    @pytest.mark.parametrize(
        "subject", ["CN={serial}", "CN={serial},O=Demo Grid,OU=x", "CN={serial}x,O=Demo Grid", "O=Demo Grid", ""]
    )
    def test_a_changed_subject(self, portal, meter, curl, subject):
        request = request_for(subject.format(serial=meter.serial))
        assert renew(curl, f"{portal.est_url}/simplereenroll", meter, request).status == 403

    def test_an_added_alternative_name(self, portal, meter, curl):
        request = request_for(meter.x509.subject, alternative_names=[x509.DNSName("portal.example.com")])
        answer = renew(curl, f"{portal.est_url}/simplereenroll", meter, request)
        assert answer.status == 403
        assert "alternative names" in answer.line

    def test_the_key_of_another_device(self, portal, meter, other, curl):
        request = request_for(meter.x509.subject, key=other.private_key)
        answer = renew(curl, f"{portal.est_url}/simplereenroll", meter, request)
        assert answer.status == 403
        assert "key" in answer.line

    def test_another_fleets_label(self, portal, meter, curl):
        url = f"{portal.device_url}/.well-known/est/no-such-label/simplereenroll"
        assert renew(curl, url, meter, meter.renewal_request()).status == 404


class TestDates:
    def test_before_the_window_the_opening_date_is_named(self, portal, curl):
        young = portal.lab_device("YOUNG", expires_in=91)
        answer = renew(curl, f"{portal.est_url}/simplereenroll", young, young.renewal_request())
        assert answer.status == 403
        opens = portal.rows("SELECT (%s::timestamptz - interval '90 days')::date", young.x509.not_valid_after_utc)
        assert answer.line.startswith(f"Renewal opens on {opens[0][0]}; today is ")

    def test_an_expired_device_hears_why(self, portal, curl):
        expired = portal.lab_device("EXPIRED", expires_in=-1)
        answer = renew(curl, f"{portal.est_url}/simplereenroll", expired, expired.renewal_request())
        assert answer.status == 403
        assert "expired on" in answer.line

    def test_not_yet_valid(self, portal, curl):
        early = portal.lab_device("EARLY", expires_in=400, validity=365)
        answer = renew(curl, f"{portal.est_url}/simplereenroll", early, early.renewal_request())
        assert answer.status == 403
        assert "valid from" in answer.line


class TestForgeries:
    """A certificate is ours when it is in the inventory byte for byte, not when its serial number or name is."""

    @pytest.fixture
    def assert_refused_in_tls(self, portal, meter, curl, issued):
        """Ask as somebody whom the listener itself must turn away, and then as `meter`, whom it must still answer."""

        def ask(client: LabDevice) -> None:
            with pytest.raises(NoAnswer):
                renew(curl, f"{portal.est_url}/simplereenroll", client, request_for(client.x509.subject))
            assert issued(meter) == 1
            assert renew(curl, f"{portal.est_url}/simplereenroll", meter, meter.renewal_request()).status == 200

        return ask

    @pytest.mark.parametrize("self_signed", [True, False])
    def test_a_look_alike_signed_by_a_stranger(self, meter, tmp_path, assert_refused_in_tls, self_signed):
        assert_refused_in_tls(impostor(meter, tmp_path / "forged", self_signed=self_signed))

    def test_the_planes_own_server_certificate(self, portal, tmp_path, assert_refused_in_tls):
        server = LabDevice("server", tmp_path / "server")
        server.directory.mkdir()
        server.certificate.write_bytes((portal.home / "tls" / "device.pem").read_bytes())
        server.key.write_bytes((portal.home / "tls" / "device.key").read_bytes())
        assert_refused_in_tls(server)


class TestRevocation:
    @pytest.mark.parametrize("path", WAYS_IN)
    def test_every_way_in_refuses_in_the_same_second(self, portal, meter, curl, refusals, issued, path):
        portal.revoke(meter)
        answer = renew(curl, portal.device_url + path, meter, meter.renewal_request())
        assert answer.status == 403
        assert "revoked (keyCompromise)" in answer.line
        assert issued(meter) == 1
        assert refusals(meter) == 1

    def test_a_revoked_device_does_not_get_in_by_a_secret(self, portal, meter, curl):
        secret = portal.enrolment_secret(meter.serial)
        portal.revoke(meter)
        answer = curl.post(
            f"{portal.est_url}/simpleenroll", encoded(request_for("CN=x")), "-u", f"{meter.serial}:{secret}"
        )
        assert answer.status == 403
        assert "revoked" in answer.line

    def test_an_order_for_one_certificate_leaves_the_successor_alone(self, portal, meter, curl):
        [renewed] = renew(curl, f"{portal.est_url}/simplereenroll", meter, meter.renewal_request()).certificates
        portal.revoke(meter, "superseded")
        assert portal.rows(
            "SELECT state FROM inventory_certificate WHERE serial = %s", f"{renewed.serial_number:x}"
        ) == [("issued",)]


def test_a_superseded_certificate_does_not_renew(portal, meter, curl, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    request = request_for(meter.x509.subject, key=key)
    [renewed] = renew(curl, f"{portal.est_url}/simplereenroll", meter, request).certificates
    successor = write_party(tmp_path / "successor", key, renewed, meter)
    assert curl.get(f"{portal.est_url}/cacerts", *as_client(successor)).status == 200
    answer = renew(curl, f"{portal.est_url}/simplereenroll", meter, meter.renewal_request())
    assert answer.status == 403
    assert "superseded" in answer.line
