"""TLS of the device plane, asked of a running gunicorn: who is let in, who is not, and for how long."""

import http.client
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certportal.gunicorn.device_tls import DeviceTls, TlsFiles

_CHECKOUT = Path(__file__).resolve().parents[2]
_DAY = timedelta(days=1)


class Party:
    """A key and its certificate, issued by another party or by itself."""

    def __init__(self, name: str, issuer: "Party | None" = None, ends_in: timedelta = _DAY) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        signer = issuer or self
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * _DAY)
            .not_valid_after(now + ends_in)
            .add_extension(x509.BasicConstraints(ca=name.endswith("CA"), path_length=None), critical=True)
            .sign(signer.key, hashes.SHA256())
        )
        self.der = self.certificate.public_bytes(serialization.Encoding.DER)
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        self.key_pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def write(self, certificate: Path, key: Path) -> None:
        certificate.write_bytes(self.pem)
        key.write_bytes(self.key_pem)


@pytest.fixture(scope="module")
def root():
    return Party("Root CA")


@pytest.fixture(scope="module")
def issuing(root):
    return Party("Issuing CA", root)


def _write_files(home: Path, listener: Party, authority: Party) -> TlsFiles:
    files = TlsFiles.of(home)
    files.certificate.parent.mkdir(exist_ok=True)
    listener.write(files.certificate, files.key)
    files.client_authorities.write_bytes(authority.pem)
    return files


@contextmanager
def _running_plane(tmp_path_factory, issuing, patience: float) -> Iterator[tuple[str, int]]:
    """Run a device plane that trusts the issuing CA alone, not its root; yield its address.

    It waits `patience` seconds for a handshake and for a body.
    """
    home = tmp_path_factory.mktemp("device")
    _write_files(home, Party("localhost", issuing), issuing)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = probe.getsockname()
    environment = {
        **os.environ,
        "CERTPORTAL_HOME": str(home),
        "CERTPORTAL_DEVICE_BIND": f"{address[0]}:{address[1]}",
        "PATIENCE": str(patience),
    }
    module = "tests.certportal.device_plane"
    command = (sys.executable, "-m", "gunicorn", "-c", f"python:{module}", f"{module}:application")
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=_CHECKOUT, env=environment, stdout=log, stderr=log)
    try:
        _wait_for(address, process, home / "log")
        yield address
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def plane(tmp_path_factory, issuing):
    """The address of a device plane that waits for the slowest of honest clients."""
    with _running_plane(tmp_path_factory, issuing, patience=60) as address:
        yield address


@pytest.fixture(scope="module")
def impatient_plane(tmp_path_factory, issuing):
    """The address of one that soon ends what does not proceed."""
    with _running_plane(tmp_path_factory, issuing, patience=1) as address:
        yield address


def _wait_for(address: tuple[str, int], process: "subprocess.Popen[bytes]", log: Path) -> None:
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at and process.poll() is None:
        try:
            with _connect(address):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(log.read_text())


def _context(device: Party | None, directory: Path | None, **versions: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, version in versions.items():
        setattr(context, name, version)
    if device is not None and directory is not None:
        device.write(directory / "device.pem", directory / "device.key")
        context.load_cert_chain(directory / "device.pem", directory / "device.key")
    return context


def _connect(address: tuple[str, int], context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    connection = socket.create_connection(address, timeout=60)
    return (context or _context(None, None)).wrap_socket(connection)


def _http(address: tuple[str, int], context: ssl.SSLContext | None = None) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection(*address, timeout=60, context=context or _context(None, None))


def _ask(address: tuple[str, int], context: ssl.SSLContext) -> list[str]:
    connection = _http(address, context)
    connection.request("GET", "/")
    return connection.getresponse().read().decode().split()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("ends_in", [_DAY, -_DAY], ids=["valid", "expired"])
def test_a_device_reaches_the_application_even_with_an_expired_certificate(plane, issuing, tmp_path, version, ends_in):
    device = Party("meter-1", issuing, ends_in)
    answer = _ask(plane, _context(device, tmp_path, maximum_version=version))
    assert answer == [version.name.replace("_", "."), "0", device.der.hex()]


def test_a_device_without_a_certificate_is_let_in(plane):
    assert _ask(plane, _context(None, None))[2] == "-"


def test_a_certificate_of_a_foreign_authority_is_refused_in_the_handshake(plane, tmp_path):
    context = _context(Party("meter-1", Party("Foreign CA")), tmp_path, maximum_version=ssl.TLSVersion.TLSv1_2)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _connect(plane, context)


def test_a_chunked_body_arrives(plane):
    connection = _http(plane)
    connection.request("POST", "/", body=iter([b"abc", b"de"]), encode_chunked=True)
    assert connection.getresponse().read().split()[1] == b"5"


def test_a_large_body_is_refused_and_the_client_reads_why(plane):
    connection = _http(plane)
    connection.request("POST", "/", body=b"x" * 300_000)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Connection"]) == (413, "close")
    assert answer.read() == b"The request body is larger than 65536 bytes.\n"


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["silent", "half a ClientHello"])
def test_a_handshake_that_does_not_proceed_is_ended(impatient_plane, said):
    started = time.monotonic()
    with socket.create_connection(impatient_plane, timeout=60) as connection:
        connection.sendall(said)
        assert connection.recv(1) == b""
    # Not at once: that would be the end of slow devices too.
    assert time.monotonic() - started > 0.5


@pytest.mark.parametrize("said", [b"", b"GET / HT"], ids=["silent", "half a request line"])
def test_a_request_that_does_not_proceed_is_ended(impatient_plane, said):
    with _connect(impatient_plane) as connection:
        connection.sendall(said)
        assert connection.recv(1) == b""


def test_a_slow_body_is_ended_with_the_reason(impatient_plane):
    with _connect(impatient_plane) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


_HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (_HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", b"400 Bad Request"),
        (_HEAD + b"Transfer-Encoding: zip\r\n\r\n", b"501 Not Implemented"),
        (_HEAD + b"Content-Length: <b>3</b>\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nbad header\x1b[31m: x\r\n\r\n", b"400 Bad Request"),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", b"414 URI Too Long"),
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 101 + b"\r\n", b"431 Request Header Fields Too Large"),
        (b"nonsense\r\n\r\n", b"400 Bad Request"),
    ],
    ids=["two framings", "unknown coding", "length", "header name", "long line", "many headers", "no request"],
)
def test_what_never_reaches_the_application_is_refused_in_one_plain_line(plane, said, status):
    with _connect(plane) as connection:
        connection.sendall(said)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status + b"\r\n"), answer
    assert b"Content-Type: text/plain; charset=utf-8" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert body.endswith(b"\n")
    assert body[:-1].decode().isprintable()
    assert body[:-1]


def test_a_client_that_waits_for_acknowledgements_is_not_kept_waiting(plane):
    """Nagle's algorithm is on in these sockets; 40 ms is what a delayed acknowledgement costs each connection."""

    def seconds() -> float:
        started = time.monotonic()
        with _connect(plane) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.recv(4096)
        return time.monotonic() - started

    # A busy machine may take longer for some; one that waited for acknowledgements would for each.
    assert any(seconds() < 0.04 for _ in range(200))


class TestChangedFiles:
    """What happens to the context when the files change under a running listener."""

    @pytest.fixture
    def clock(self):
        return iter(range(0, 1000, 2)).__next__

    def test_unchanged_files_keep_their_context(self, tmp_path, issuing, clock):
        tls = DeviceTls(_write_files(tmp_path, Party("localhost", issuing), issuing), clock)
        assert tls.current() is tls.current()

    def test_new_files_are_followed(self, tmp_path, issuing, clock):
        tls = DeviceTls(_write_files(tmp_path, Party("localhost", issuing), issuing), clock)
        before = tls.current()
        _write_files(tmp_path, Party("localhost", issuing), issuing)
        assert tls.current() is not before

    def test_files_that_do_not_fit_are_not_used_until_they_do(self, tmp_path, issuing, clock):
        files = _write_files(tmp_path, Party("localhost", issuing), issuing)
        tls = DeviceTls(files, clock)
        before = tls.current()
        other = Party("localhost", issuing)
        files.certificate.write_bytes(other.pem)
        assert tls.current() is before
        files.key.write_bytes(other.key_pem)
        assert tls.current() is not before

    def test_files_are_not_looked_at_more_than_once_a_second(self, tmp_path, issuing):
        tls = DeviceTls(_write_files(tmp_path, Party("localhost", issuing), issuing), clock=lambda: 0.5)
        before = tls.current()
        _write_files(tmp_path, Party("localhost", issuing), issuing)
        assert tls.current() is before

    def test_missing_files_fail_at_once(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            DeviceTls(TlsFiles.of(tmp_path))
