"""A run ends in a state with its reason, is taken up once at a time and not for ever, and a stuck one is named."""

from datetime import timedelta

import django_rq
import pytest

from certportal.health import examine
from inventory import jobs
from inventory.audit.record import SYSTEM
from inventory.formats.imports import Encoding
from inventory.importing import runs, uploads
from inventory.importing.sources.detection import Reading
from inventory.models import AuditAction, AuditEvent, Device, ImportRun, ImportState
from tests.factories import NOW, fleet
from tests.inventory.importing.foreign import begun, write_csv
from tests.parallel import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def queue():
    client = django_rq.get_connection("default")
    client.flushdb()
    yield django_rq.get_queue("default")
    client.flushdb()


def uploaded(content: bytes = b"device_serial\nU1\n", *, dry_run: bool = False) -> ImportRun:
    kept = uploads.keep("meters.csv", [content])
    reading = Reading(columns={}, encoding=Encoding.UTF_8)
    return uploads.begin(kept, reading, fleet(), dry_run=dry_run, now=NOW, actor=SYSTEM)


def test_a_fault_of_the_program_stops_the_run_with_its_name_and_is_raised(tmp_path):
    run, opened = begun(write_csv(tmp_path / "a.csv", [{"device_serial": "A"}]), fleet())

    def fails(_run: ImportRun) -> None:
        raise LookupError("a fault of ours")

    with pytest.raises(LookupError):
        runs.work(run, opened.source, workers=0, clock=lambda: NOW, tell=fails)

    run.refresh_from_db()
    assert (run.state, run.problem) == (ImportState.STOPPED, "LookupError: a fault of ours")
    assert AuditEvent.objects.filter(action=AuditAction.IMPORT_STOPPED, details__run=run.pk).count() == 1


def test_a_job_that_comes_late_leaves_a_finished_run_as_it_is():
    run = uploaded()
    jobs.work_on_import(run.pk)
    before = ImportRun.objects.filter(pk=run.pk).values().get()
    assert before["state"] == ImportState.FINISHED

    jobs.work_on_import(run.pk)

    assert ImportRun.objects.filter(pk=run.pk).values().get() == before
    assert not AuditEvent.objects.filter(action=AuditAction.IMPORT_STOPPED).exists()


def test_a_job_that_comes_late_does_not_go_on_with_what_stopped():
    run = uploaded()
    runs.stop(run, "The disk is full.", NOW)
    jobs.work_on_import(run.pk)
    run.refresh_from_db()
    assert (run.state, run.problem) == (ImportState.STOPPED, "The disk is full.")


def test_a_finished_run_is_not_stopped_by_anybody(tmp_path):
    run, opened = begun(write_csv(tmp_path / "a.csv", [{"device_serial": "A"}]), fleet())
    run = runs.work(run, opened.source, workers=0, clock=lambda: NOW, tell=lambda _run: None)
    runs.stop(run, "too late", NOW)
    run.refresh_from_db()
    assert (run.state, run.problem) == (ImportState.FINISHED, "")


def test_a_run_whose_worker_dies_each_time_is_given_up_with_the_reason():
    run = uploaded()
    # What a killed worker leaves: an attempt without a block behind it.
    ImportRun.objects.filter(pk=run.pk).update(state=ImportState.RUNNING, attempts=runs.MOST_ATTEMPTS - 1)
    assert uploads.left_alone() == [run]
    ImportRun.objects.filter(pk=run.pk).update(attempts=runs.MOST_ATTEMPTS)

    jobs.work_on_import(run.pk)

    run.refresh_from_db()
    assert run.state == ImportState.STOPPED and "taken up 5 times" in run.problem
    assert uploads.left_alone() == [] and not Device.objects.exists()

    uploads.resume(run, now=NOW, actor=SYSTEM)
    jobs.work_on_import(run.pk)
    run.refresh_from_db()
    assert run.state == ImportState.FINISHED


@pytest.mark.parametrize("dry_run", [False, True])
def test_only_attempts_without_progress_count(dry_run):
    run = uploaded(dry_run=dry_run)
    ImportRun.objects.filter(pk=run.pk).update(attempts=3)
    jobs.work_on_import(run.pk)
    run.refresh_from_db()
    # A dry run begins anew each time, so its blocks are no progress.
    assert run.attempts == (4 if dry_run else 0)


def test_a_run_waits_in_the_queue_once_however_often_the_sweep_comes(queue):
    uploaded()
    assert queue.count == 1
    jobs.sweep_imports()
    jobs.sweep_imports()
    assert queue.count == 1


def test_the_sweep_leaves_alone_what_a_worker_has(queue):
    run = uploaded()
    queue.empty()
    uploads.claim(run.pk).begin()

    with runs.only_worker(run):
        at_once([jobs.sweep_imports])
    assert queue.count == 0
    jobs.sweep_imports()
    assert queue.count == 1


def test_a_stuck_run_is_named_by_the_doctor(tmp_path):
    path = write_csv(tmp_path / "meters.csv", [{"device_serial": "A"}])
    run, _opened = begun(path, fleet())
    ImportRun.objects.filter(pk=run.pk).update(state=ImportState.RUNNING)

    def said(now) -> str:
        [finding] = [each for each in examine(now) if each.check == "imports"]
        return finding.problem

    assert said(NOW + timedelta(minutes=9)) == ""
    assert f"{run.pk}: meters.csv" in said(NOW + timedelta(minutes=11))
