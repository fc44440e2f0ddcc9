"""The status plane as it runs in production, in a process of its own, and the files that its clients need."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from inventory.audit.record import SYSTEM
from inventory.models import Certificate, RevocationReason
from revocation import signers
from revocation.orders import Order, revoke
from revocation.publishing import publish
from revocation.scopes import scopes
from tests import emptying, factories
from tests.e2e.ports import free_ports


@dataclass(frozen=True)
class StatusService:
    """A running status plane at `url`, with one good and one revoked certificate of its authority in `directory`."""

    url: str
    directory: Path

    def run(self, *command: str) -> str:
        """Run a client in the directory of the files; return all it says, and fail if it takes too long."""
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, timeout=30, check=False)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def _furnished(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[StatusService]:
    """The service that the tests of a module ask. Its rows are committed: another process reads them."""
    [port] = free_ports(1)
    directory, url = tmp_path_factory.mktemp("status"), f"http://127.0.0.1:{port}"
    with override_settings(HOME=directory, PUBLIC_STATUS_URL=url), django_db_blocker.unblock():
        try:
            _furnish(directory)
            with _running(url):
                yield StatusService(url, directory)
        finally:
            emptying.empty()


@pytest.fixture
def status_service(db: None, _furnished: StatusService, tmp_path: Path) -> StatusService:
    """The service, with the files in a directory of the test's own, to which clients add theirs."""
    for file in _furnished.directory.glob("*.pem"):
        shutil.copy(file, tmp_path)
    return StatusService(_furnished.url, tmp_path)


@contextmanager
def _running(url: str) -> Iterator[None]:
    """Run gunicorn with the status plane's own configuration on this module's database and home."""
    environment = os.environ | {
        "DATABASE_URL": _database_url(),
        "CERTPORTAL_HOME": str(settings.HOME),
        "CERTPORTAL_KEY_PASSPHRASE": settings.KEY_PASSPHRASE,
        "CERTPORTAL_STATUS_BIND": url.removeprefix("http://"),
        "CERTPORTAL_PUBLIC_STATUS_URL": url,
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "python:certportal.gunicorn.status"]
    server = subprocess.Popen([*command, "certportal.wsgi.status"], cwd=settings.BASE_DIR, env=environment)
    try:
        _wait_for(f"{url}/healthz")
        yield
    finally:
        server.terminate()
        server.wait(timeout=20)


def _database_url() -> str:
    """Return the URL of the database that this process writes to."""
    server = connection.settings_dict
    place = {"host": server["HOST"] or server["OPTIONS"].get("host", ""), "port": server["PORT"]}
    given = urlencode({name: value for name, value in place.items() if value})
    return f"postgres://{server['USER']}:{server['PASSWORD']}@/{server['NAME']}?{given}"


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=5):  # noqa: S310  (our own address)
                return
        except (URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"{url} did not answer within 30 seconds.")


def _furnish(directory: Path) -> None:
    """Make authorities, signers, two certificates and the CRLs; write what clients read into `directory`."""
    now = timezone.now()
    good, revoked = (factories.enrolled(now=now).certificate for _ in range(2))
    issuing, root = factories.authority(), factories.root()
    for authority in (issuing, root):
        signers.renew_if_due(authority, now)
    revoke(revoked, Order(RevocationReason.KEY_COMPROMISE, SYSTEM), now)
    for authority in (issuing, root):
        for scope in scopes(authority):
            publish(authority, scope.shard, now)
    _write(directory, "good", [good])
    _write(directory, "revoked", [revoked])
    _write(directory, "issuer", Certificate.objects.filter(subject_authority=issuing))
    _write(directory, "root", Certificate.objects.filter(subject_authority=root))


def _write(directory: Path, name: str, certificates: Iterable[Certificate]) -> None:
    pem = b"".join(certificate.x509.public_bytes(Encoding.PEM) for certificate in certificates)
    (directory / f"{name}.pem").write_bytes(pem)
