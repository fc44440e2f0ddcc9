"""The status plane over HTTP: what clients and caches are told."""

import base64
from datetime import timedelta
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.x509 import ocsp as reference
from django.db import OperationalError, connection
from django.utils import timezone
from django.utils.http import parse_http_date

from inventory.audit.record import SYSTEM
from inventory.models import RevocationReason
from revocation import crl_files, ocsp, signers, views
from revocation.orders import Order, revoke
from revocation.publishing import publish
from revocation.scopes import Scope
from tests import factories
from tests.factories import DAY
from tests.revocation.issuers import own_certificate
from tests.revocation.test_ocsp import merged
from tests.revocation.test_responder import NEVER_ISSUED, asking, asking_for

pytestmark = pytest.mark.usefixtures("status_plane")
TYPE = "application/ocsp-request"


@pytest.fixture
def meter(db):
    """A device with a certificate, and OCSP signers, all valid by the wall clock that the views read."""
    now = timezone.now()
    enrolled = factories.enrolled(now=now)
    for authority in (factories.authority(), factories.root()):
        signers.renew_if_due(authority, now)
    return enrolled


def one_line(response, status: int) -> str:
    assert response.status_code == status
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["Content-Length"] == str(len(response.content))
    line: str = response.content.decode()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    return line


def status_of(response) -> reference.OCSPResponseStatus:
    assert response.status_code == 200
    assert response["Content-Type"] == "application/ocsp-response"
    assert response["Content-Length"] == str(len(response.content))
    return reference.load_der_ocsp_response(response.content).response_status


class TestCrl:
    @pytest.fixture
    def published(self, meter):
        revoke(meter.certificate, Order(RevocationReason.KEY_COMPROMISE, SYSTEM), timezone.now())
        return publish(meter.certificate.authority, 0, timezone.now())

    def test_it_is_served_from_its_file(self, client, published, django_assert_num_queries):
        with django_assert_num_queries(0):
            response = client.get("/crl/mfg-1/0.crl")
        contents = b"".join(response.streaming_content)
        assert response.status_code == 200
        assert response["Content-Type"] == "application/pkix-crl"
        assert response["Content-Length"] == str(len(contents))
        assert contents == crl_files.path(Scope("mfg-1", 0)).read_bytes()
        assert not response.cookies

    def test_caches_keep_it_for_a_minute_and_then_ask_again(self, client, published, settings):
        response = client.get("/crl/mfg-1/0.crl")
        assert response["ETag"] == '"1"'
        # Not thisUpdate, which is back-dated: who asks by the time of a download would be told that nothing is new.
        written = crl_files.path(Scope("mfg-1", 0)).stat().st_mtime
        assert parse_http_date(response["Last-Modified"]) == int(written) > published.this_update.timestamp()
        assert parse_http_date(response["Expires"]) == published.next_update.timestamp()
        assert response["Cache-Control"] == "max-age=60, public, no-transform, must-revalidate"

    def test_caches_never_keep_it_beyond_its_end(self, client, meter, settings):
        publish(meter.certificate.authority, 0, timezone.now() - settings.CRL_LIFETIME + timedelta(minutes=1))
        max_age = int(client.get("/crl/mfg-1/0.crl")["Cache-Control"].partition("=")[2].partition(",")[0])
        assert 50 <= max_age <= 60
        publish(meter.certificate.authority, 0, timezone.now() - settings.CRL_LIFETIME - timedelta(minutes=1))
        assert client.get("/crl/mfg-1/0.crl")["Cache-Control"].startswith("max-age=0,")

    def test_a_client_that_has_it_gets_304_until_the_next_is_published(self, client, published, meter):
        has = {"If-None-Match": client.get("/crl/mfg-1/0.crl")["ETag"]}
        response = client.get("/crl/mfg-1/0.crl", headers=has)
        assert (response.status_code, response.content) == (304, b"")
        assert response["ETag"] == '"1"'
        publish(meter.certificate.authority, 0, timezone.now())
        assert client.get("/crl/mfg-1/0.crl", headers=has).status_code == 200

    def test_head_says_the_same_without_the_contents(self, client, published):
        response = client.head("/crl/mfg-1/0.crl")
        assert response.status_code == 200
        assert response["Content-Length"] == str(published.size)
        assert response["ETag"] == '"1"'

    def test_the_complete_crl_has_an_address_of_its_own(self, client, meter):
        publish(meter.certificate.authority, None, timezone.now())
        assert client.get("/crl/mfg-1/all.crl").status_code == 200

    @pytest.mark.parametrize(
        "path",
        [
            "/crl/mfg-1/7.crl",
            "/crl/nobody/0.crl",
            "/crl/mfg-1/00.crl",
            "/crl/mfg-1/99999999999999999999.crl",
            "/crl/mfg-1/-1.crl",
            "/crl/mfg-1/.0.crl.draft",
            "/crl/../secret-key",
            "/crl/..%2f..%2fsecret-key",
            "/crl/mfg-1/..%2f..%2fkeys%2fa.crl",
            "/crl/mfg-1/0.crl%00",
            "/crl/mfg-1/0.crl%0a",
            "/crl/" + "a" * 300 + "/0.crl",
            "/",
        ],
    )
    def test_any_other_address_is_404(self, client, published, path):
        one_line(client.get(path), 404)

    def test_a_damaged_file_is_never_served(self, client, published):
        crl_files.path(Scope("mfg-1", 0)).write_bytes(b"\x30\x82")
        one_line(client.get("/crl/mfg-1/0.crl"), 503)

    def test_only_reading_is_allowed(self, client, published):
        response = client.post("/crl/mfg-1/0.crl")
        one_line(response, 405)
        assert response["Allow"] == "GET, HEAD"


class TestOcsp:
    def test_post(self, client, meter, django_assert_num_queries):
        asked = asking_for(meter.certificate)
        client.post("/ocsp/mfg-1/", asked, TYPE)
        with django_assert_num_queries(1):
            response = client.post("/ocsp/mfg-1/", asked, TYPE)
        assert status_of(response) == reference.OCSPResponseStatus.SUCCESSFUL
        assert response["Cache-Control"] == "no-store"
        assert not response.cookies

    def test_post_without_the_last_slash(self, client, meter):
        response = client.post("/ocsp/mfg-1", asking_for(meter.certificate), TYPE)
        assert status_of(response) == reference.OCSPResponseStatus.SUCCESSFUL

    def test_get_is_cacheable(self, client, meter, settings):
        response = client.get("/ocsp/mfg-1/" + quote(base64.b64encode(asking_for(meter.certificate)), safe=""))
        assert status_of(response) == reference.OCSPResponseStatus.SUCCESSFUL
        # RFC 5019 6.2
        answer = reference.load_der_ocsp_response(response.content)
        assert answer.next_update_utc
        assert parse_http_date(response["Expires"]) == answer.next_update_utc.timestamp()
        assert parse_http_date(response["Last-Modified"]) == answer.this_update_utc.timestamp()
        assert response["Cache-Control"] == "max-age=60, public, no-transform, must-revalidate"

    def test_a_cache_that_asks_again_gets_304_until_the_status_changes(self, client, meter):
        address = "/ocsp/mfg-1/" + quote(base64.b64encode(asking_for(meter.certificate)), safe="")
        has = {"If-None-Match": client.get(address)["ETag"]}
        unchanged = client.get(address, headers=has)
        assert (unchanged.status_code, unchanged.content, unchanged["ETag"]) == (304, b"", has["If-None-Match"])
        assert unchanged["Cache-Control"].startswith("max-age=60,")

        revoke(meter.certificate, Order(RevocationReason.KEY_COMPROMISE, SYSTEM), timezone.now())

        changed = client.get(address, headers=has)
        assert status_of(changed) == reference.OCSPResponseStatus.SUCCESSFUL
        answer = reference.load_der_ocsp_response(changed.content)
        assert answer.certificate_status == reference.OCSPCertStatus.REVOKED
        assert answer.revocation_time_utc
        assert answer.revocation_time_utc <= answer.this_update_utc

    @pytest.mark.parametrize("padded", [True, False])
    @pytest.mark.parametrize(
        "escape",
        [
            lambda text: quote(text, safe=""),
            lambda text: quote(quote(text, safe=""), safe=""),
            lambda text: text,
            lambda text: "/" + text,
            lambda text: "//" + quote(text, safe=""),
        ],
        ids=["escaped", "escaped twice", "not escaped", "two slashes", "three slashes"],
    )
    def test_get_takes_every_way_in_which_clients_write_base64(self, client, meter, escape, padded):
        # Serial numbers until the text has both characters that need escaping.
        for serial in range(2**152, 2**152 + 4000):
            text = base64.b64encode(asking(serial, factories.authority())).decode()
            if "+" in text and "//" not in text and "/" in text:
                break
        response = client.get("/ocsp/mfg-1/" + escape(text if padded else text.rstrip("=")))
        answer = reference.load_der_ocsp_response(response.content)
        assert answer.serial_number == serial

    def test_an_answer_with_a_nonce_or_about_an_unknown_serial_is_never_cached(self, client, meter):
        for asked in (
            merged(asking_for(meter.certificate), nonce=b"n" * 32),
            asking(NEVER_ISSUED, factories.authority()),
        ):
            response = client.get("/ocsp/mfg-1/" + quote(base64.b64encode(asked), safe=""))
            assert status_of(response) == reference.OCSPResponseStatus.SUCCESSFUL
            assert response["Cache-Control"] == "no-store"
            assert "Expires" not in response

    @pytest.mark.parametrize("length", [1, 32, 128])
    def test_the_nonce_comes_back(self, client, meter, length):
        asked = merged(asking_for(meter.certificate), nonce=b"n" * length)
        response = client.post("/ocsp/mfg-1/", asked, TYPE)
        extensions = reference.load_der_ocsp_response(response.content).extensions
        assert extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * length

    @pytest.mark.parametrize(
        "body",
        [b"", b"junk", b"\x30\x80" * 5000, b"\x00" * 100, pytest.param("nonce 0", id="nonce 0")],
        ids=lambda body: repr(body[:8]),
    )
    def test_junk_is_a_malformed_request(self, client, meter, body, caplog):
        if body == "nonce 0":
            body = merged(asking_for(meter.certificate), nonce=b"")
        response = client.post("/ocsp/mfg-1/", body, TYPE)
        assert status_of(response) == reference.OCSPResponseStatus.MALFORMED_REQUEST
        assert response["Cache-Control"] == "no-store"
        (line,) = [record.msg for record in caplog.records if record.name == "revocation.views"]
        assert (line["event"], line["authority"], line["status"]) == ("ocsp_refused", "mfg-1", "MALFORMED_REQUEST")
        assert line["why"]

    @pytest.mark.parametrize("path", ["", "%00", "****", "a", quote("ümlaut"), "%25%25", "MA=="])
    def test_junk_in_a_path_is_a_malformed_request(self, client, meter, path):
        response = client.get("/ocsp/mfg-1/" + path)
        assert status_of(response) == reference.OCSPResponseStatus.MALFORMED_REQUEST

    def test_a_foreign_issuer_is_unauthorized(self, client, meter):
        response = client.post("/ocsp/root/", asking_for(meter.certificate), TYPE)
        assert status_of(response) == reference.OCSPResponseStatus.UNAUTHORIZED

    def test_without_a_signer_the_client_is_told_to_come_back(self, client, db):
        issuing = factories.authority()
        response = client.post("/ocsp/mfg-1/", asking(1, issuing), TYPE)
        assert status_of(response) == reference.OCSPResponseStatus.TRY_LATER

    def test_without_the_database_the_client_is_told_to_come_back(self, client, meter):
        asked = asking_for(meter.certificate)
        views.responders.of("mfg-1", timezone.now())

        def gone(*_args):
            raise OperationalError("the connection is lost")

        with connection.execute_wrapper(gone):
            response = client.post("/ocsp/mfg-1/", asked, TYPE)
        assert status_of(response) == reference.OCSPResponseStatus.TRY_LATER

    def test_an_unknown_authority_is_404(self, client, meter):
        one_line(client.post("/ocsp/nobody/", asking_for(meter.certificate), TYPE), 404)

    def test_a_body_above_the_limit_is_413(self, client, meter):
        line = one_line(client.post("/ocsp/mfg-1/", b"\x30" * (ocsp.MAX_REQUEST_BYTES + 1), TYPE), 413)
        assert str(ocsp.MAX_REQUEST_BYTES) in line

    def test_other_methods_are_405(self, client, meter):
        response = client.put("/ocsp/mfg-1/", b"", TYPE)
        one_line(response, 405)
        assert response["Allow"] == "GET, HEAD, POST"


class TestCertificates:
    def test_an_issuer_is_served_in_der(self, client, meter):
        response = client.get("/ca/mfg-1.cer")
        assert response["Content-Type"] == "application/pkix-cert"
        assert response["Content-Length"] == str(len(response.content))
        assert x509.load_der_x509_certificate(response.content) == factories.authority().x509
        one_line(client.get("/ca/nobody.cer"), 404)
        one_line(client.delete("/ca/mfg-1.cer"), 405)

    def bundle(self, client, name: str) -> list[x509.Certificate]:
        response = client.get(f"/bundle/{name}.pem")
        assert response.status_code == 200
        assert response["Content-Type"] == "application/x-pem-file"
        return x509.load_pem_x509_certificates(response.content)

    def test_the_bundle_of_an_authority_is_its_chain(self, client, meter):
        assert self.bundle(client, "mfg-1") == [factories.authority().x509, factories.root().x509]

    def test_the_bundle_of_a_fleet_has_the_root_and_each_live_authority_below_it(self, client, meter):
        second = factories.authority("mfg-2")
        factories.authority("ended", now=timezone.now() - 6001 * DAY)
        factories.authority("revoked")
        revoke(own_certificate("revoked"), Order(RevocationReason.CESSATION_OF_OPERATION, SYSTEM), timezone.now())
        assert self.bundle(client, "demo") == [factories.root().x509, factories.authority().x509, second.x509]

    def test_an_unknown_bundle_is_404(self, client, meter):
        one_line(client.get("/bundle/nobody.pem"), 404)
        one_line(client.get("/bundle/..%2f..%2fkeys.pem"), 404)


def test_healthz_needs_no_store(client):
    assert one_line(client.get("/healthz"), 200) == "ok\n"
