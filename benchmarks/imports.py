"""A manifest of devices and certificates into an empty inventory, beside `bulk_create` and a bare COPY of its rows.

Each side fills a database of its own on the same server, cloned from one that is set up and empty. The import is the
command, in a process of its own, from the file to the last index. `bulk_create` is the ordinary way in Django, and is
timed from the file as well: csv, cryptography, what is known looked up and left alone, a thousand rows a transaction.
It takes rows from the middle of the same file, when the first half is in: every row costs more than the one before. It
checks less: no reasons, no rejects, no resuming. COPY is given the rows that the import made, ready, in binary. Both
have all indexes in place, and the same triggers.
"""

import csv
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, TextIO
from urllib.parse import quote

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.db import connections, transaction
from psycopg import sql

from benchmarks import portal
from benchmarks.figure import Figure
from benchmarks.manifest import LAST_LINE, MAPPING, first_half, manifest
from benchmarks.measuring import Size
from inventory.models import Authority, Batch, Certificate, Device, Fleet, Site
from inventory.x509 import keys
from renewal.simulation.fleet import scratch

_DEVICES = {Size.SMALL: 10_000, Size.FULL: 2_200_000}
_BY_BULK_CREATE = {Size.SMALL: 2_000, Size.FULL: 50_000}
# Seconds each at the small size; at the full one once, for it takes minutes.
_ROUNDS = {Size.SMALL: 3, Size.FULL: 1}
_CHECKOUT = Path(__file__).resolve().parent.parent
_SECONDS_BETWEEN_LOOKS = 0.2
_TABLES = ("inventory_device", "inventory_certificate")


def run(size: Size) -> list[Figure]:
    devices = _DEVICES[size]
    path = manifest(settings.HOME.parent / f"manifest-{devices}.csv", devices)
    half = first_half(path, devices)
    with portal.running():
        fleet = portal.fleet()
        seconds: dict[str, list[float]] = {"import": [], "again": [], "bulk_create": [], "copy": []}
        memory = 0.0
        for _ in range(_ROUNDS[size]):
            with _clone("bench_import") as imported:
                took, peak = _timed_import(imported, path, fleet)
                seconds["import"].append(took)
                memory = max(memory, peak)
                _expect(imported, devices)
                seconds["again"].append(_timed_import(imported, path, fleet)[0])
                _expect(imported, devices)
                with _clone("bench_copy") as copied:
                    seconds["copy"].append(_copy_between(imported, copied))
            with _clone("bench_bulk") as bulk:
                _timed_import(bulk, half, fleet)
                seconds["bulk_create"].append(_bulk_create(bulk, path, fleet, devices // 2, _BY_BULK_CREATE[size]))
    return _figures(devices, _BY_BULK_CREATE[size], {name: median(found) for name, found in seconds.items()}, memory)


@contextmanager
def _clone(name: str) -> Iterator[str]:
    """Make a database like the portal's own, which has no session meanwhile, and drop it at the end."""
    own = settings.DATABASES["default"]["NAME"]
    connections.close_all()
    with psycopg.connect(_address("postgres"), autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log").format(sql.Identifier(name), sql.Identifier(own))
        )
    try:
        yield name
    finally:
        connections.close_all()
        with psycopg.connect(_address("postgres"), autocommit=True) as server:
            scratch.drop(server, name)


def _address(database: str) -> str:
    own = settings.DATABASES["default"]
    return f"postgresql://{own['USER']}:{quote(own['PASSWORD'])}@/{database}?host={own['HOST']}"


def _timed_import(database: str, path: Path, fleet: Fleet) -> tuple[float, float]:
    """Run the command; return its seconds and the most memory that it and its parsers had, in MB."""
    mapped = [word for column, target in MAPPING.items() for word in ("--map", f"{column}={target}")]
    command = [sys.executable, "manage.py", "import_inventory", str(path), "--fleet", fleet.slug, "--json", *mapped]
    environment = {**os.environ, "DATABASE_URL": _address(database).replace("postgresql", "postgres", 1)}
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=_CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True)
    peak = _watched(process.pid)
    output, _ = process.communicate()
    took = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"import_inventory failed: {output}")
    if rejected := json.loads(output)["rejected"]:
        raise RuntimeError(f"import_inventory rejected {rejected} rows: {output}")
    return took, peak()


def _watched(pid: int) -> Callable[[], float]:
    """Look at a process and its children until it ends; return what tells the most memory they had together, in MB."""
    seen = [0]

    def watch() -> None:
        while size := sum(_proportional_kilobytes(each) for each in (pid, *_children(pid))):
            seen[0] = max(seen[0], size)
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    threading.Thread(target=watch, daemon=True).start()
    return lambda: seen[0] / 1000


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _proportional_kilobytes(pid: int) -> int:
    """Return the memory of a process, what it shares with others counted in part."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _expect(database: str, devices: int) -> None:
    with psycopg.connect(_address(database)) as server:
        for query in ("inventory_device", "inventory_certificate WHERE purpose = 'device'"):
            [count] = server.execute(f"SELECT count(*) FROM {query}").fetchone() or [0]  # type: ignore[arg-type]  # noqa: S608
            assert count == devices, f"{count} instead of {devices} in {query}"


def _copy_between(imported: str, copied: str) -> float:
    """Copy the imported rows, ready in binary files, into a clone with all its indexes; return the seconds."""
    directory = settings.HOME.parent / "rows"
    directory.mkdir(exist_ok=True)
    with psycopg.connect(_address(imported)) as source:
        _copy_groups(source, copied)
        for table in _TABLES:
            rows = " WHERE purpose = 'device'" if table == "inventory_certificate" else ""
            with (
                (directory / table).open("wb") as stream,
                source.cursor().copy(
                    f"COPY (SELECT * FROM {table}{rows} ORDER BY id) TO STDOUT (FORMAT BINARY)"  # type: ignore[arg-type]  # noqa: S608
                ) as copy,
            ):
                for piece in copy:
                    stream.write(piece)
    with psycopg.connect(_address(copied)) as target:
        started = time.perf_counter()
        for table in _TABLES:
            with (
                (directory / table).open("rb") as stream,
                target.cursor().copy(
                    f"COPY {table} FROM STDIN (FORMAT BINARY)"  # type: ignore[arg-type]
                ) as copy,
            ):
                while piece := stream.read(1 << 20):
                    copy.write(piece)
        target.commit()
        return time.perf_counter() - started


def _copy_groups(source: "psycopg.Connection[Any]", copied: str) -> None:
    """Copy what the rows refer to, untimed."""
    with psycopg.connect(_address(copied)) as target:
        for query, table in (
            ("SELECT * FROM inventory_site", "inventory_site"),
            ("SELECT * FROM inventory_batch", "inventory_batch"),
            ("SELECT * FROM inventory_authority WHERE external_identity IS NOT NULL", "inventory_authority"),
        ):
            with (
                source.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)") as out,  # type: ignore[arg-type]
                target.cursor().copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as into,  # type: ignore[arg-type]
            ):
                for piece in out:
                    into.write(piece)


def _bulk_create(database: str, path: Path, fleet: Fleet, first: int, count: int) -> float:
    """Do what the import does with the ORM, a thousand rows a transaction; return the seconds."""
    alias = "bulk"
    connections.databases[alias] = {**connections.databases["default"], "NAME": database}
    try:
        with path.open(newline="") as stream:
            columns = next(csv.reader(stream))
            # The file is entered at its middle, as if it began there.
            rows = csv.DictReader(_from_record(stream, first), columns)
            started = time.perf_counter()
            _bulk_create_with(alias, islice(rows, count), fleet)
            return time.perf_counter() - started
    finally:
        connections[alias].close()
        del connections.databases[alias]


def _from_record(stream: TextIO, first: int) -> TextIO:
    """Return the stream behind its first records."""
    while first:
        first -= stream.readline() == LAST_LINE
    return stream


def _bulk_create_with(alias: str, rows: Iterable[dict[str, str]], fleet: Fleet) -> None:
    sites = {site.name: site for site in Site.objects.using(alias).all()}
    batches = {batch.name: batch for batch in Batch.objects.using(alias).all()}
    now = datetime.now(UTC)
    issuer = Authority.objects.using(alias).create(
        slug="foreign", name="Foreign", external_identity=hashlib.sha256(b"foreign").digest(), created_at=now
    )
    rows = iter(rows)
    while chunk := list(islice(rows, 1000)):
        with transaction.atomic(using=alias):
            for row in chunk:
                if row["Plant"] not in sites:
                    sites[row["Plant"]] = Site.objects.using(alias).create(fleet_id=fleet.pk, name=row["Plant"])
                if row["Run"] not in batches:
                    batches[row["Run"]] = Batch.objects.using(alias).create(fleet_id=fleet.pk, name=row["Run"])
            known = set(
                Device.objects.using(alias)
                .filter(fleet_id=fleet.pk, serial__in=[row["Serial No"] for row in chunk])
                .values_list("serial", flat=True)
            )
            new = [row for row in chunk if row["Serial No"] not in known]
            devices = Device.objects.using(alias).bulk_create(
                Device(
                    fleet_id=fleet.pk,
                    serial=row["Serial No"],
                    site_id=sites[row["Plant"]].pk,
                    batch_id=batches[row["Run"]].pk,
                    phone_number=row["Phone"],
                    mqtt_id=row["MQTT"],
                    latitude=row["Lat"],
                    longitude=row["Lon"],
                    registered_at=now,
                )
                for row in new
            )
            certificates = [_certificate(row["PEM"], device, issuer) for row, device in zip(new, devices, strict=True)]
            fingerprints = Certificate.objects.using(alias).filter(sha256__in=[each.sha256 for each in certificates])
            known_fingerprints = {bytes(sha256) for sha256 in fingerprints.values_list("sha256", flat=True)}
            Certificate.objects.using(alias).bulk_create(
                each for each in certificates if each.sha256 not in known_fingerprints
            )


def _certificate(pem: str, device: Device, issuer: Authority) -> Certificate:
    parsed = x509.load_pem_x509_certificate(pem.encode())
    der = parsed.public_bytes(Encoding.DER)
    public_key = parsed.public_key()
    return Certificate(
        authority_id=issuer.pk,
        serial=f"{parsed.serial_number:x}",
        purpose="device",
        device_id=device.pk,
        subject=parsed.subject.rfc4514_string(),
        key_type=keys.key_type(public_key),
        der=der,
        sha256=hashlib.sha256(der).digest(),
        spki_sha256=keys.spki_sha256(public_key),
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        issued_at=parsed.not_valid_before_utc,
    )


def _figures(devices: int, by_bulk_create: int, seconds: dict[str, float], memory: float) -> list[Figure]:
    rows = 2 * devices
    bulk = Figure("import.bulk_create_rows_per_s", 2 * by_bulk_create / seconds["bulk_create"], "rows/s")
    ours = Figure("import.rows_per_s", rows / seconds["import"], "rows/s")
    copy = Figure("import.copy_s", seconds["copy"], "s")
    whole = Figure("import.s", seconds["import"], "s")
    return [
        Figure("import.devices", devices, "devices, as many certificates"),
        bulk,
        ours.beside(bulk, "P15"),
        copy,
        whole.beside(copy, "import.of_copy"),
        Figure("import.again_s", seconds["again"], "s").beside(whole),
        Figure("import.peak_memory_mb", memory, "MB"),
    ]
