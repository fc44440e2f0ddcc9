"""Foreign programs that the tests drive, and how to ask them. A missing one fails the test: it proves nothing then."""

import base64
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from tests.e2e.lab import LabDevice

_SECONDS = 30
_PACKAGES = {
    "chromium": "chromium",
    "curl": "curl",
    "mosquitto": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "nginx": "nginx-light",
    "ocsptool": "gnutls-bin",
    "openssl": "openssl",
    "pki": "strongswan-pki libstrongswan-extra-plugins",
    "scepclient": "scep",
}
_SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/bin"])


def peer(name: str) -> str:
    """Return the path of a program; fail with the Debian package that brings it."""
    found = shutil.which(name, path=_SYSTEM_PATH)
    assert found, f"{name} is missing: apt-get install {_PACKAGES[name]} (make e2e-deps installs every peer)"
    return found


@dataclass(frozen=True)
class Result:
    """What a program said, and whether it called that a success."""

    code: int
    output: str

    @property
    def ok(self) -> bool:
        return self.code == 0


def run(name: str, *words: str | Path, stdin: bytes = b"") -> Result:
    """Run a peer to its end."""
    done = subprocess.run(
        [peer(name), *map(str, words)],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_SECONDS,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode(errors="replace"))


class NoAnswer(Exception):
    """The server ended the connection, or never had one, without an answer."""


@dataclass(frozen=True)
class Answer:
    """An answer to curl: the last one, when an interim `100 Continue` came before."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the value of a header in exactly this spelling: strict clients know no other."""
        found = re.search(rf"^{re.escape(name)}: *(.*?)\r?$".encode(), self.head, re.MULTILINE)
        return found.group(1).decode() if found else None

    @property
    def line(self) -> str:
        """The one plain line that says why; fail when the body is anything else."""
        text = self.body.decode()
        assert text.endswith("\n"), text
        assert text.count("\n") == 1, text
        return text.strip()

    @property
    def certificates(self) -> list[x509.Certificate]:
        """The certificates of a certs-only answer."""
        assert self.status == 200, (self.status, self.body)
        return pkcs7.load_der_pkcs7_certificates(base64.b64decode(self.body))


@dataclass(frozen=True)
class Curl:
    """curl, trusting one CA file, with its own scratch files in `directory`. Raises `NoAnswer`."""

    trust: Path
    directory: Path

    def get(self, url: str, *options: str | Path) -> Answer:
        return self._ask(url, *options)

    def post(self, url: str, body: bytes, *options: str | Path, content_type: str = "application/pkcs10") -> Answer:
        sent = self.directory / "sent"
        sent.write_bytes(body)
        return self._ask(url, "-H", f"Content-Type: {content_type}", "--data-binary", f"@{sent}", *options)

    def _ask(self, url: str, *options: str | Path) -> Answer:
        head, body = self.directory / "head", self.directory / "body"
        for file in (head, body):
            file.unlink(missing_ok=True)
        result = run(
            "curl", "-sS", "--noproxy", "*", "--max-time", "20", "--cacert", self.trust, "-D", head, "-o", body,
            *options, url,
        )  # fmt: skip
        if not result.ok:
            raise NoAnswer(f"curl {url}: {result.output}")
        last = head.read_bytes().split(b"\r\n\r\n")[-2] + b"\r\n"
        return Answer(int(last.split()[1]), last, body.read_bytes() if body.exists() else b"")


def as_client(device: LabDevice) -> list[str | Path]:
    """Return curl's options for authenticating as `device`."""
    return ["--cert", device.certificate, "--key", device.key]
