"""nginx and Mosquitto as verifiers of device certificates with our CRLs: the good get in, the revoked do not."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.e2e.lab import LabDevice
from tests.e2e.peers import Curl, as_client, peer, run
from tests.e2e.ports import free_ports
from tests.e2e.running_portal import until

_NGINX = """
daemon off; worker_processes 1; pid {here}/nginx.pid; error_log {here}/nginx.log info; {user} events {{}}
http {{
  access_log off;
  client_body_temp_path {here}/body; proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/fastcgi;
  uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    ssl_client_certificate {authorities}; ssl_crl {crls};
    ssl_verify_client on; ssl_verify_depth 3;
    location / {{ return 200 "ok"; }}
  }}
}}
"""
# Whatever is waited for happens within seconds: that it happens is the rule, and a slow machine is no fault.
_SECONDS = 300
_MOSQUITTO = """
listener {port} 127.0.0.1
{user}
certfile {certificate}
keyfile {key}
cafile {authorities}
crlfile {crls}
require_certificate true
use_identity_as_username true
allow_anonymous false
"""


@dataclass(frozen=True)
class Verifier:
    """A running server that asks for certificates, and how a device tries to get in."""

    port: int
    lets_in: Callable[[LabDevice], bool]


@pytest.fixture
def authorities(portal, tmp_path) -> Path:
    bundle = tmp_path / "authorities.pem"
    bundle.write_bytes((portal.home / "tls" / "client-ca.pem").read_bytes())
    return bundle


@pytest.fixture
def crls(portal, curl, tmp_path) -> Callable[[], Path]:
    """Fetch one CRL for each authority of the chain, as both servers want.

    The complete ones: nginx checks the root as well, whose certificate names no distribution point, and OpenSSL takes
    for it no CRL that is limited to one.
    """

    def fetch() -> Path:
        file = tmp_path / "crls.pem"
        ders = [curl.get(f"{portal.status_url}/crl/{name}/all.crl").body for name in ("root", "mfg-1")]
        file.write_bytes(b"".join(x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in ders))
        return file

    return fetch


def settings(portal, directory: Path, authorities: Path, crls: Path) -> dict[str, object]:
    [port] = free_ports(1)
    # Root's servers would become other users, who cannot read the files of a test.
    user = "user root;" if os.geteuid() == 0 else ""
    tls = portal.home / "tls"
    return {
        "here": directory, "port": port, "user": user, "authorities": authorities, "crls": crls,
        "certificate": tls / "device.pem", "key": tls / "device.key",
    }  # fmt: skip


@contextlib.contextmanager
def served(argv: list[str], port: int) -> Iterator[None]:
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: _listens(port) or server.poll() is not None, seconds=_SECONDS, what=f"The start of {argv[0]}")
            assert server.poll() is None, f"{argv[0]} ended with {server.returncode}"
            yield
        finally:
            server.terminate()
            server.wait(10)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def nginx(portal, directory: Path, authorities: Path, crls: Path) -> Iterator[Verifier]:
    values = settings(portal, directory, authorities, crls)
    configuration = directory / "nginx.conf"
    configuration.write_text(_NGINX.format(**values))
    scratch = directory / "curl"
    scratch.mkdir(exist_ok=True)

    def lets_in(device: LabDevice) -> bool:
        answer = Curl(portal.root, scratch).get(f"https://127.0.0.1:{values['port']}/", *as_client(device))
        # nginx itself answers 400 to whom it does not believe.
        assert answer.status in (200, 400)
        return answer.status == 200

    port = int(str(values["port"]))
    with served([peer("nginx"), "-p", str(directory), "-c", str(configuration)], port):
        yield Verifier(port, lets_in)


@contextlib.contextmanager
def mosquitto(portal, directory: Path, authorities: Path, crls: Path) -> Iterator[Verifier]:
    values = settings(portal, directory, authorities, crls)
    values["user"] = str(values["user"]).rstrip(";")
    configuration = directory / "mosquitto.conf"
    configuration.write_text(_MOSQUITTO.format(**values))
    port = int(str(values["port"]))

    def lets_in(device: LabDevice) -> bool:
        return run(
            "mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "--cafile", portal.root,
            "--cert", device.certificate, "--key", device.key, "-t", "t", "-m", "x", "-q", "1",
        ).ok  # fmt: skip

    with served([peer("mosquitto"), "-c", str(configuration)], port):
        yield Verifier(port, lets_in)


@pytest.mark.parametrize("start", [nginx, mosquitto])
def test_a_revoked_device_is_turned_away_once_the_crl_is_published(
    portal, meter, authorities, crls, tmp_path, _unused_meters, start
):
    good = next(_unused_meters)
    with start(portal, tmp_path, authorities, crls()) as verifier:
        assert verifier.lets_in(good)
        assert verifier.lets_in(meter)
    portal.revoke(meter)
    serial = meter.x509.serial_number

    def published() -> bool:
        pem = crls().read_bytes()
        return any(each.get_revoked_certificate_by_serial_number(serial) for each in _all_crls(pem))

    until(published, seconds=_SECONDS, what="The publication of a CRL")
    with start(portal, tmp_path, authorities, crls()) as verifier:
        assert verifier.lets_in(good)
        assert not verifier.lets_in(meter)


def _all_crls(pem: bytes) -> list[x509.CertificateRevocationList]:
    end = b"-----END X509 CRL-----\n"
    return [x509.load_pem_x509_crl(each + end) for each in pem.split(end) if each.strip()]
