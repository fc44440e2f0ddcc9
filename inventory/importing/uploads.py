"""Files uploaded in the browser. They are kept until a worker has imported them."""

import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction

from inventory.audit.record import Actor, event, record
from inventory.formats.imports import Encoding, Format, Link, Product, Target
from inventory.importing import runs
from inventory.importing.sources.detection import Reading, open_file
from inventory.importing.sources.files import SourceRefused
from inventory.job_claims import Claim
from inventory.models import AuditAction, ColumnMapping, Fleet, FleetIds, ImportRun, ImportState

MAX_BYTES = 20 << 20
_JOB = "inventory.jobs.work_on_import"


def _directory() -> Path:
    return Path(settings.HOME) / "imports" / "uploads"


def is_upload(run: ImportRun) -> bool:
    return Path(run.source).is_relative_to(_directory())


def keep(name: str, chunks: Iterable[bytes]) -> Path:
    """Write an upload to a file of its own and return it."""
    directory = _directory() / secrets.token_hex(8)
    directory.mkdir(mode=0o700, parents=True)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(name).name)[-100:].lstrip(".") or "upload"
    path = directory / plain
    with path.open("xb") as stream:
        path.chmod(0o600)
        stream.writelines(chunks)
    return path


def reading(
    saved: ColumnMapping | None, *, format: str = "", link: str = "", encoding: str = "", product: str = ""
) -> Reading:
    """Combine a saved mapping with explicit overrides; empty ones change nothing."""
    link = link or (saved.link if saved else "")
    return Reading(
        columns={column: Target(target) for column, target in saved.columns.items()} if saved else {},
        format=Format(format) if format else None,
        encoding=Encoding(encoding or (saved.encoding if saved else Encoding.UTF_8.value)),
        link=Link(link) if link else None,
        product=Product(product) if product else None,
    )


def begin(
    path: Path,
    how: Reading,
    fleet: Fleet | None,
    *,
    within: FleetIds = None,
    dry_run: bool,
    update_known: bool = False,
    now: datetime,
    actor: Actor,
) -> ImportRun:
    """Begin the import of an upload; a worker is woken after the commit. Raises SourceRefused, and deletes the file.

    `within`: the fleets into which it may write.
    """
    try:
        opened = open_file(path, how)
    except SourceRefused as refusal:
        _forget(path)
        raise SourceRefused(str(refusal).replace(str(path), path.name)) from None
    plan = runs.Plan(str(path), opened.layout, opened.link, fleet, dry_run, update_known, within)
    return _begun(plan, now, actor)


def begin_in_earnest(rehearsed: ImportRun, *, within: FleetIds = None, now: datetime, actor: Actor) -> ImportRun:
    """Import the file of a dry run. Raises SourceRefused if it is gone or changed, or if the run was no dry run."""
    path = Path(rehearsed.source)
    if not rehearsed.dry_run or not path.is_file():
        raise SourceRefused(f"The file of import {rehearsed.pk} is no longer here; upload it again.")
    opened = open_file(path, runs.reading_of(rehearsed))
    if opened.source.fingerprint != rehearsed.fingerprint:
        raise SourceRefused(f"The file of import {rehearsed.pk} has changed since; try it again first.")
    plan = runs.Plan(
        str(path), opened.layout, opened.link, rehearsed.fleet, update_known=rehearsed.update_known, within=within
    )
    return _begun(plan, now, actor)


def resume(stopped: ImportRun, *, now: datetime, actor: Actor) -> ImportRun:
    """Resume a stopped import in a worker. Raises SourceRefused if it is not stopped or its file is gone."""
    with transaction.atomic():
        run = ImportRun.objects.select_for_update(of=("self",)).get(pk=stopped.pk)
        if run.state != ImportState.STOPPED:
            raise SourceRefused(f"Import {run.pk} is {run.state}; only one that stopped is resumed.")
        path = Path(run.source)
        if not is_upload(run):
            raise SourceRefused(f"Import {run.pk} was begun by command: manage.py import_inventory --resume {run.pk}.")
        if not path.is_file():
            raise SourceRefused(f"The file of import {run.pk} is no longer here; upload it again.")
        run.state, run.problem, run.attempts, run.worked_at = ImportState.WAITING, "", 0, now
        run.save(update_fields=["state", "problem", "attempts", "worked_at"])
        details = {"run": run.pk, "resumed": True}
        record([event(AuditAction.IMPORT_STARTED, now=now, actor=actor, object_name=f"import {run}", details=details)])
        transaction.on_commit(lambda: enqueue(run.pk), robust=True)
    return run


def _begun(plan: runs.Plan, now: datetime, actor: Actor) -> ImportRun:
    with transaction.atomic():
        run = runs.begin(plan, now=now, actor=actor)
        # Robust: the sweep finds the run, whether or not the queue can be reached.
        transaction.on_commit(lambda: enqueue(run.pk), robust=True)
    return run


def claim(run_id: int) -> Claim:
    return Claim("default", f"import {run_id}")


def enqueue(run_id: int) -> None:
    claim(run_id).enqueue(_JOB, run_id, failure_ttl=24 * 3600)


def left_alone() -> list[ImportRun]:
    """Return the unfinished runs of uploads that no worker is working on."""
    unfinished = ImportRun.objects.filter(state__in=runs.UNFINISHED, source__startswith=f"{_directory()}/")
    return [run for run in unfinished.order_by("pk") if runs.nobody_works_on(run)]


def work(run: ImportRun, clock: runs.Clock) -> ImportRun:
    """Do the import of an upload, if it is still to be done. Its file goes then; that of a dry run stays, for the run
    in earnest.

    Raises BusyElsewhere and Stopped.
    """
    with runs.only_worker(run):
        run.refresh_from_db()
        if run.state not in runs.UNFINISHED:
            return run
        if not runs.count_attempt(run):
            raise runs.Stopped(_give_up(run, clock()))
        path = Path(run.source)
        with runs.stopping(run, clock):
            opened = open_file(path, runs.reading_of(run))
            run = runs.work(run, opened.source, workers=0, clock=clock, tell=lambda _run: None)
        if not run.dry_run:
            _forget(path)
        return run


def _give_up(run: ImportRun, now: datetime) -> str:
    text = f"It was taken up {run.attempts} times, and each time its process was killed within the same block."
    runs.stop(run, text, now)
    return text


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.parent.rmdir()
