"""Somebody else's authority, the certificates that it signed, and imports of them."""

import csv
import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import connection

from inventory.audit.record import SYSTEM
from inventory.formats.imports import Target
from inventory.importing import runs
from inventory.importing.sources.detection import Opened, Reading, open_file
from inventory.models import Fleet, ImportRun
from tests.factories import NOW

DAY = timedelta(days=1)
BEGAN = NOW - 100 * DAY
ENDS = NOW + 500 * DAY


class ForeignAuthority:
    def __init__(self, name: str = "CN=Old Device CA,O=Old", above: "ForeignAuthority | None" = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name.from_rfc4514_string(name)
        self.certificate = self._own(above)

    def _own(self, above: "ForeignAuthority | None") -> x509.Certificate:
        builder = (
            _builder(self.name, (above or self).name, self.key.public_key(), BEGAN, ENDS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
        )
        signing_key = above.key if above else self.key
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
        return builder.sign(signing_key, hashes.SHA256())

    def signs(
        self,
        subject: str | x509.Name,
        *,
        serial: int | None = None,
        alternative_names: Sequence[x509.GeneralName] = (),
        key: object = None,
        not_before: datetime = BEGAN,
        not_after: datetime = ENDS,
    ) -> x509.Certificate:
        name = subject if isinstance(subject, x509.Name) else x509.Name.from_rfc4514_string(subject)
        public_key = (key or ec.generate_private_key(ec.SECP256R1())).public_key()
        builder = _builder(name, self.name, public_key, not_before, not_after, serial)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        if alternative_names:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternative_names), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def _builder(subject, issuer, public_key, not_before, not_after, serial=None) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )


def pem(*certificates: x509.Certificate) -> str:
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def database_url(name: str) -> str:
    """Return the address of a database on the server of the test run."""
    connection.ensure_connection()
    assert connection.connection
    info = connection.connection.info
    return f"postgres://{info.user}:{quote(info.password)}@/{name}?host={info.host}"


def write_csv(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), newline="")
    return path


def begun(
    path: Path, fleet: Fleet | None, *, dry_run: bool = False, update_known: bool = False, **reading
) -> tuple[ImportRun, Opened]:
    columns = {column: Target(target) for column, target in reading.pop("columns", {}).items()}
    opened = open_file(path, Reading(columns=columns, **reading))
    plan = runs.Plan(str(path), opened.layout, opened.link, fleet, dry_run, update_known)
    return runs.begin(plan, now=NOW, actor=SYSTEM), opened


def imported(path: Path, fleet: Fleet | None, *, dry_run: bool = False, workers: int = 0, **reading) -> ImportRun:
    """Import a file from beginning to end."""
    run, opened = begun(path, fleet, dry_run=dry_run, **reading)
    return runs.work(run, opened.source, workers=workers, clock=lambda: NOW, tell=lambda _run: None)


def counts(run: ImportRun) -> dict[str, int]:
    """Return what came of a run, without what is zero."""
    return {name: count for name, count in runs.counts(run).items() if count}
