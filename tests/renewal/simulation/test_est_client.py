"""The meters' EST client: whatever a server answers, it is certificates, EstError or an error of the network."""

import base64
import http.server
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from django.conf import settings
from django.utils import timezone

from certportal import device_certificate
from certportal.gunicorn.device_tls import TlsFiles, context_for
from renewal.simulation.est_client import EstClient, EstError
from renewal.simulation.virtual_device import key_pem
from tests.factories import Enrolled, enrolled


class Server:
    """An EST server on loopback over mutual TLS that gives one answer to everything."""

    def __init__(self, files: TlsFiles) -> None:
        self.answer = b""
        self.asked: list[tuple[str, str, bytes | None]] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                server.asked.append((self.command, self.path, self.connection.getpeercert(binary_form=True)))
                self.wfile.write(server.answer)

            do_POST = do_GET  # noqa: N815 - the name that http.server calls

            def log_message(self, *_details: object) -> None:
                pass

        class Quiet(http.server.HTTPServer):
            def handle_error(self, *_details: object) -> None:
                pass

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self._http.socket = context_for(files).wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._http.server_port}/.well-known/est/demo"

    def answers(self, body: bytes, status: str = "200 OK") -> None:
        self.answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def meter(db) -> Enrolled:
    return enrolled(now=timezone.now())


@pytest.fixture
def identity(meter, tmp_path) -> Path:
    path = tmp_path / "current.pem"
    path.write_bytes(key_pem(meter.private_key) + meter.certificate.x509.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def server(meter):
    device_certificate.ensure(timezone.now())
    running = Server(TlsFiles.of(settings.HOME))
    yield running
    running.stop()


@pytest.fixture
def client(server) -> EstClient:
    return EstClient(server.url, settings.HOME / "tls" / "root.pem")


def certs_only(*certificates) -> bytes:
    return base64.encodebytes(pkcs7.serialize_certificates(list(certificates), Encoding.DER))


def request(meter: Enrolled):
    return x509.load_der_x509_csr(meter.renewal_request())


def test_the_client_authenticates_by_its_certificate_and_gets_the_new_one(client, server, meter, identity):
    server.answers(certs_only(meter.certificate.x509))
    assert client.simplereenroll(identity, request(meter)) == meter.certificate.x509
    assert server.asked == [("POST", "/.well-known/est/demo/simplereenroll", meter.der)]


def test_a_refusal_carries_status_and_line(client, server, meter, identity):
    server.answers(b"Renewal opens on 2027-03-01; today is 2027-02-28.\n", "403 Forbidden")
    with pytest.raises(EstError, match=r"^403 Renewal opens on 2027-03-01; today is 2027-02-28\.$"):
        client.simplereenroll(identity, request(meter))


@pytest.mark.parametrize("body", [b"", b"!", b"AAAA", b"\xff\xfe", b"<html>"])
def test_an_answer_that_holds_no_certificates_is_an_est_error(client, server, identity, body):
    server.answers(body)
    with pytest.raises(EstError):
        client.cacerts(identity)


def test_an_enrolment_answer_holds_exactly_one_certificate(client, server, meter, identity):
    server.answers(certs_only(meter.certificate.x509, meter.device.fleet.authority.x509))
    with pytest.raises(EstError, match="holds 2 certificates instead of one"):
        client.simplereenroll(identity, request(meter))


@pytest.mark.parametrize("answer", [b"", b"junk\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"])
def test_an_answer_that_is_no_http_is_an_est_error_or_one_of_the_network(client, server, identity, answer):
    server.answer = answer
    with pytest.raises((EstError, OSError)):
        client.cacerts(identity)


def test_a_server_of_another_authority_is_not_spoken_to(client, server, identity, tmp_path):
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(enrolled(now=timezone.now()).certificate.x509.public_bytes(Encoding.PEM))
    with pytest.raises(ssl.SSLError):
        EstClient(server.url, stranger).cacerts(identity)
    assert server.asked == []


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:1/est", "nonsense", "https://", "mqtt://127.0.0.1"])
def test_an_address_that_is_not_https_is_refused(identity, url):
    with pytest.raises(EstError, match="is not the https address"):
        EstClient(url, settings.HOME / "tls" / "root.pem").cacerts(identity)
