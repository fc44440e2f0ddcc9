"""Imports that are killed, run out of disk or meet each other: nothing is lost, nothing is done twice."""

import csv
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from inventory.formats.imports import Format
from inventory.importing import runs
from inventory.importing.rejects import path_of
from inventory.importing.sources.files import SourceRefused, TextFile
from inventory.models import AuditAction, AuditEvent, Device, ImportRun, ImportState, Site
from tests.factories import NOW, fleet
from tests.inventory.importing.foreign import begun, database_url
from tests.inventory.importing.process import BLOCK
from tests.parallel import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]

_CHECKOUT = Path(__file__).resolve().parents[3]
ROWS = 20_000
_BAD = 97


def manifest(path: Path, rows: int = ROWS) -> Path:
    """Write a manifest in which every 97th row is bad."""
    lines = [f"{'no serial' if number % _BAD == 0 else f'K{number:06}'},Site {number % 7}\n" for number in range(rows)]
    path.write_text("device_serial,site\n" + "".join(lines))
    return path


def source(path: Path) -> TextFile:
    return TextFile(path, Format.CSV, offset=len("device_serial,site\n"), line=2, block=BLOCK)


def work(run: ImportRun, path: Path) -> ImportRun:
    return runs.work(run, source(path), workers=0, clock=lambda: NOW, tell=lambda _run: None)


def assert_whole(run: ImportRun, rows: int = ROWS) -> None:
    bad = len(range(0, rows, _BAD))
    assert (run.state, run.records, run.devices_new, run.rejected) == (ImportState.FINISHED, rows, rows - bad, bad)
    assert run.devices_known == 0
    assert Device.objects.count() == rows - bad and Site.objects.count() == 7
    with path_of(run.pk).open(newline="") as stream:
        lines = [int(row["line"]) for row in csv.DictReader(stream)]
    assert lines == [number + 2 for number in range(0, rows, _BAD)]


def _process(run: ImportRun, path: Path, workers: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.inventory.importing.process", str(run.pk), str(path), str(workers)],
        cwd=_CHECKOUT,
        env={
            **os.environ,
            "DATABASE_URL": database_url(connection.settings_dict["NAME"]),
            "CERTPORTAL_HOME": str(settings.HOME),
            "DJANGO_SETTINGS_MODULE": "certportal.settings",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_again_and_again_every_row_is_merged_exactly_once(tmp_path, workers):
    path = manifest(tmp_path / "killed.csv")
    run, _opened = begun(path, fleet())
    for blocks in (1, 3, 2):
        process = _process(run, path, workers)
        assert process.stdin and process.stdout
        for _ in range(blocks):
            assert process.stdout.readline()
            # It is somewhere in the next block when it dies.
            process.stdin.write("\n")
            process.stdin.flush()
        children = _children(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
        deadline = time.monotonic() + 60
        while any(map(_runs, children)):
            assert time.monotonic() < deadline, "A parsing process outlived the import."
            time.sleep(0.05)
    run.refresh_from_db()
    assert run.state == ImportState.RUNNING and 0 < run.records < ROWS

    assert_whole(work(run, path))


def test_a_run_goes_on_with_the_same_file_only(tmp_path):
    path = manifest(tmp_path / "a.csv", 500)
    run, _opened = begun(path, fleet())
    ImportRun.objects.filter(pk=run.pk).update(fingerprint="another", position={"offset": 100, "line": 4})
    with pytest.raises(SourceRefused, match="begin a new import"):
        work(run, path)


def test_when_the_disk_of_the_rejects_is_full_it_stops_says_so_and_resumes(tmp_path):
    path = manifest(tmp_path / "full.csv")
    run, _opened = begun(path, fleet())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 * 1024, hard))
    try:
        with pytest.raises(runs.Stopped, match="File too large"):
            work(run, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    run = ImportRun.objects.get(pk=run.pk)
    assert run.state == ImportState.STOPPED and "File too large" in run.problem
    assert 0 < run.records < ROWS and Device.objects.count() == run.devices_new
    stopped = AuditEvent.objects.get(action=AuditAction.IMPORT_STOPPED)
    assert stopped.details["records"] == run.records

    assert_whole(work(run, path))


def test_when_the_disk_of_the_database_is_full_it_stops_says_so_and_resumes(tmp_path):
    path = manifest(tmp_path / "full.csv", 3000)
    run, _opened = begun(path, fleet())
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF NEW.serial > 'K002000' THEN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full';"
            " END IF; RETURN NEW; END $$;"
            "CREATE TRIGGER full_disk BEFORE INSERT ON inventory_device FOR EACH ROW EXECUTE FUNCTION full_disk()"
        )
    try:
        with pytest.raises(runs.Stopped, match="No space left on device"):
            work(run, path)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION full_disk() CASCADE")
    run = ImportRun.objects.get(pk=run.pk)
    assert run.state == ImportState.STOPPED and Device.objects.count() == run.devices_new > 0

    assert_whole(work(run, path), 3000)


def test_two_processes_do_not_work_on_one_run(tmp_path):
    path = manifest(tmp_path / "two.csv", 1500)
    run, _opened = begun(path, fleet())

    def attempt():
        try:
            return work(ImportRun.objects.get(pk=run.pk), path).devices_new
        except runs.BusyElsewhere:
            return None

    results = at_once([attempt, attempt])

    # The slower may also come so late that all is done.
    assert set(results) <= {None, 1484} and 1484 in results
    assert_whole(ImportRun.objects.get(pk=run.pk), 1500)


def test_two_imports_of_the_same_devices_at_once_take_each_device_once(tmp_path):
    path = manifest(tmp_path / "same.csv", 3000)
    backwards = tmp_path / "backwards.csv"
    header, *lines = path.read_text().splitlines(keepends=True)
    backwards.write_text(header + "".join(reversed(lines)))
    begun_runs = [begun(each, fleet())[0] for each in (path, backwards)]

    done = at_once([lambda: work(begun_runs[0], path), lambda: work(begun_runs[1], backwards)])

    assert sum(run.devices_new for run in done) == Device.objects.count() == 3000 - 31
    assert sum(run.devices_known for run in done) == 3000 - 31
