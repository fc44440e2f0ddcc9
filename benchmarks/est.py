"""EST renewals a second, a new TLS connection each, beside bare TLS handshakes with the same running device plane.

By a few clients at a time, and by a crowd, whose requests the plane decides on together. The clients share the machine
with the server, as the yardstick's do; CPU figures are of the server's side alone.
"""

import base64
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings

from benchmarks import portal
from benchmarks.figure import Figure
from benchmarks.measuring import ROUNDS, Rate, Side, Size, Work, cpu_seconds, percentile, rate_figures, rates
from certportal.addresses import Address
from inventory.audit.record import SYSTEM
from inventory.issuing.certificates import Admission, issue_many
from inventory.models import Certificate, CertificateState
from inventory.x509.csr import parse

_FEW, _CROWD = 4, 32
_CONNECTIONS = {Size.SMALL: 80, Size.FULL: 400}
_ALONE = {Size.SMALL: 40, Size.FULL: 200}
_SECONDS = 30


class BenchmarkFailed(Exception):
    """A renewal was refused or not understood; the text is what the server said."""


@dataclass(frozen=True)
class _Client:
    """A device that is ready to connect: nothing of what follows is its own preparation."""

    context: ssl.SSLContext
    post: bytes


def run(size: Size) -> list[Figure]:
    with portal.running(planes=["device"]) as started:
        address = Address("CERTPORTAL_DEVICE_BIND", settings.DEVICE_BIND).host_and_port()
        workshop = _Workshop(settings.HOME / "lab")
        sides: dict[str, Side] = {
            f"{name}_by_{at_a_time}": _side(workshop, _CONNECTIONS[size], at_a_time, partial(visit, address))
            for at_a_time in (_FEW, _CROWD)
            for name, visit in (("handshakes", _handshake), ("renewals", _renew))
        }
        measured = rates(sides, rounds=ROUNDS[size], cpu=lambda: cpu_seconds(started["device"]))
        alone = [_seconds(_renew, address, client) for client in workshop.clients(_ALONE[size])]
        bare = [_seconds(_handshake, address, client) for client in workshop.clients(_ALONE[size])]
    return _figures(measured, alone, bare)


class _Workshop:
    """Makes devices that may renew: a certificate of the portal in its renewal window, and a request for a new key."""

    def __init__(self, directory: Path) -> None:
        self._identity = directory / "identity.pem"
        directory.mkdir(parents=True, exist_ok=True)

    def clients(self, count: int) -> list[_Client]:
        keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(count)]
        return [self._client(certificate, key) for certificate, key in zip(self._certificates(keys), keys, strict=True)]

    def _certificates(self, keys: Sequence[ec.EllipticCurvePrivateKey]) -> list[Certificate]:
        fleet = portal.fleet()
        admissions = [
            Admission(device, fleet.profile, fleet.authority, parse(portal.request_der(key)), SYSTEM)
            for device, key in zip(portal.devices(len(keys)), keys, strict=True)
        ]
        issued_at = datetime.now(UTC) - fleet.profile.validity + 15 * portal.DAY
        certificates = issue_many(admissions, issued_at)
        # Of an earlier day: most of what is renewed has long been in use.
        Certificate.objects.filter(pk__in=[each.pk for each in certificates]).update(
            state=CertificateState.CONFIRMED, activated_at=issued_at + portal.DAY
        )
        return certificates

    def _client(self, certificate: Certificate, key: ec.EllipticCurvePrivateKey) -> _Client:
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._identity.write_bytes(key_pem + certificate.x509.public_bytes(Encoding.PEM))
        context = ssl.create_default_context(cafile=str(settings.HOME / "tls" / "root.pem"))
        context.load_cert_chain(self._identity)
        new_key = ec.generate_private_key(ec.SECP256R1())
        return _Client(context, _post(certificate.x509.subject, new_key))


def _post(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> bytes:
    body = base64.b64encode(portal.request_der(key, subject))
    head = (
        f"POST /.well-known/est/{portal.FLEET}/simplereenroll HTTP/1.1\r\nHost: localhost\r\nUser-Agent: benchmark\r\n"
        f"Content-Type: application/pkcs10\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _side(workshop: _Workshop, count: int, at_a_time: int, visit: Callable[[_Client], None]) -> Side:
    """Return a side in which clients each visit the server once, so many at a time."""

    def prepare() -> Work:
        clients = workshop.clients(count)

        def work() -> int:
            with ThreadPoolExecutor(at_a_time) as pool:
                return len(list(pool.map(visit, clients)))

        return work

    return prepare


def _connected(address: tuple[str, int], client: _Client) -> ssl.SSLSocket:
    plain = socket.create_connection(address, timeout=_SECONDS)
    return client.context.wrap_socket(plain, server_hostname="127.0.0.1")


def _handshake(address: tuple[str, int], client: _Client) -> None:
    """Shake hands and leave, once the server has done its part: in TLS 1.3 that ends after the client's."""
    with _connected(address, client) as connection:
        connection.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            connection.recv(1)


def _renew(address: tuple[str, int], client: _Client) -> None:
    answer = b""
    with _connected(address, client) as connection:
        connection.sendall(client.post)
        with suppress(ssl.SSLEOFError):
            while piece := connection.recv(16384):
                answer += piece
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise BenchmarkFailed(answer.decode(errors="replace"))


def _seconds(visit: Callable[[tuple[str, int], _Client], None], address: tuple[str, int], client: _Client) -> float:
    started = time.perf_counter()
    visit(address, client)
    return time.perf_counter() - started


def _beside_handshakes(measured: dict[str, Rate], at_a_time: int) -> list[Figure]:
    of = f"by_{at_a_time}"
    handshakes, handshakes_cpu = rate_figures(f"est.handshakes_{of}", "TLS handshakes", measured[f"handshakes_{of}"])
    renewals, renewals_cpu = rate_figures(f"est.renewals_{of}", "renewals", measured[f"renewals_{of}"])
    return [
        handshakes,
        renewals.beside(handshakes),
        handshakes_cpu,
        renewals_cpu.beside(handshakes_cpu).asked(floor=0.25),
    ]


def _figures(measured: dict[str, Rate], alone: list[float], bare: list[float]) -> list[Figure]:
    figures = [*_beside_handshakes(measured, _FEW), *_beside_handshakes(measured, _CROWD)]
    for percent in (50, 95):
        shake = Figure(f"est.handshake_p{percent}_ms", 1000 * percentile(bare, percent), "ms")
        figures += [shake, Figure(f"est.renewal_p{percent}_ms", 1000 * percentile(alone, percent), "ms").beside(shake)]
    return figures
