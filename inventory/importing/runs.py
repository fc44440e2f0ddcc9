"""An import from its first block to its last: resumable at any point, each block merged exactly once.

A block's rows, the counts and the position behind it are one transaction. Rejects are on disk before it commits, and
what a transaction that did not commit has left in their file is cut off.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.db import Error as DatabaseTrouble
from django.db import OperationalError, connection, transaction

from inventory import session_locks
from inventory.audit.record import Actor, event, record
from inventory.formats.imports import Encoding, Format, Link, Product, Target
from inventory.importing.loading import deferred_indexes, external_authorities, merge
from inventory.importing.loading.dry_run import Rehearsal
from inventory.importing.loading.seen_certificates import Novelty
from inventory.importing.parsing.parser import Staged
from inventory.importing.parsing.process_pool import ParserDied, Pool
from inventory.importing.parsing.records import Block, Layout, Reject
from inventory.importing.parsing.rows import Rules
from inventory.importing.rejects import RejectsFile
from inventory.importing.sources.detection import Reading
from inventory.importing.sources.files import Piece, Source, SourceRefused
from inventory.models import AuditAction, Fleet, FleetIds, ImportRun, ImportState
from inventory.models.audit import ActorKind

Clock = Callable[[], datetime]
Tell = Callable[[ImportRun], None]

_FIRST_REJECTS = 10
_SHOWN_OF_A_REJECT = 300
_MOST_TRIES = 5
# The database may need a moment to notice that the process before was killed.
_TRIES_FOR_LOCK, _SECONDS_BETWEEN_TRIES = 20, 0.25
_DEADLOCK, _SERIALIZATION_FAILURE = "40P01", "40001"

UNFINISHED = (ImportState.WAITING, ImportState.RUNNING)
# A block takes seconds, and the periodic job takes up within a minute what nobody works on.
_MAY_BE_QUIET = timedelta(minutes=10)
# A process that dies at the same block each time, for want of memory perhaps, is not started for ever.
MOST_ATTEMPTS = 5


class Stopped(Exception):
    """The import came to a halt; what was merged stays, and it can be resumed. The text says why."""


class BusyElsewhere(Exception):
    """Another process works on this run."""


@dataclass(frozen=True)
class Plan:
    """What is to be imported. `source` is its name for people; it holds no password."""

    source: str
    layout: Layout
    link: Link
    fleet: Fleet | None
    dry_run: bool = False
    update_known: bool = False
    # The fleets into which it may write.
    within: FleetIds = None


def begin(plan: Plan, *, now: datetime, actor: Actor) -> ImportRun:
    """Create the row of an import, with its audit event."""
    layout = plan.layout
    with transaction.atomic():
        run = ImportRun.objects.create(
            source=plan.source[:500],
            format=layout.format.value,
            product=layout.product,
            fleet=plan.fleet,
            reading={
                "encoding": layout.encoding.value,
                "delimiter": layout.delimiter,
                "columns": list(layout.columns),
                "mapping": [[column, target.value] for column, target in layout.mapping],
                "link": plan.link.value,
                **({} if plan.within is None else {"fleets": list(plan.within)}),
            },
            dry_run=plan.dry_run,
            update_known=plan.update_known,
            actor_kind=actor.kind,
            actor=actor.name[:150],
            started_at=now,
            worked_at=now,
        )
        _audit(
            run,
            AuditAction.IMPORT_STARTED,
            now,
            {"dry_run": run.dry_run, "format": run.format, "update": run.update_known},
        )
    return run


def layout_of(run: ImportRun) -> Layout:
    """Return how the source of a run is read."""
    reading = run.reading
    return Layout(
        format=Format(run.format),
        encoding=Encoding(reading["encoding"]),
        delimiter=reading["delimiter"],
        columns=tuple(reading["columns"]),
        mapping=tuple((column, Target(target)) for column, target in reading["mapping"]),
        product=run.product,
    )


def reading_of(run: ImportRun) -> Reading:
    """Return what was said about the source of a run, to open it again."""
    layout = layout_of(run)
    return Reading(
        columns=dict(layout.mapping),
        format=layout.format,
        encoding=layout.encoding,
        link=Link(run.reading["link"]),
        product=Product(run.product) if run.product else None,
    )


def work(run: ImportRun, source: Source, *, workers: int, clock: Clock, tell: Tell) -> ImportRun:
    """Continue a run to its end and return its row.

    `tell` is called after each block. However it ends, the row has a state and a reason, unless the process is killed
    or the database is gone. Raises BusyElsewhere, SourceRefused when the source is not the one that the run began with,
    and Stopped.
    """
    with only_worker(run):
        run.refresh_from_db()
        if run.state == ImportState.FINISHED:
            return run
        if run.fingerprint and run.fingerprint != source.fingerprint:
            raise SourceRefused(f"{run.source} is not what run {run.pk} began with; begin a new import.")
        with stopping(run, clock):
            _Work(run, source, workers, clock, tell).do()
        run.refresh_from_db()
        return run


@contextmanager
def stopping(run: ImportRun, clock: Clock) -> Iterator[None]:
    """Mark a run as stopped when its work raises. Expected errors are raised again as Stopped."""
    try:
        yield
    except Stopped:
        raise
    except (OSError, DatabaseTrouble, psycopg.Error, SourceRefused, ParserDied, KeyboardInterrupt) as error:
        problem = _problem(error)
        _stop_if_the_database_answers(run, problem, clock())
        raise Stopped(problem) from error
    except BaseException as error:
        # A fault of the program, or its end (SystemExit). It goes on to whoever logs it. Nothing narrower is caught,
        # since a run always ends in a state with its reason.
        _stop_if_the_database_answers(run, f"{type(error).__name__}: {_problem(error)}", clock())
        raise


def _stop_if_the_database_answers(run: ImportRun, problem: str, now: datetime) -> None:
    # When it is gone the row still says running; the run is taken up again all the same.
    with suppress(DatabaseTrouble):
        stop(run, problem, now)


class _Work:
    """One process' work on one run."""

    def __init__(self, run: ImportRun, source: Source, workers: int, clock: Clock, tell: Tell) -> None:
        self._run = run
        self._source = source
        self._clock = clock
        self._tell = tell
        self._pool_size = workers
        # Whether the block before was.
        self._all_new = True
        # Stands in for unique indexes while they are put off.
        self._novelty: Novelty | None = None

    def do(self) -> None:
        run = self._run
        self._open()
        rules = Rules(
            fleets=dict(Fleet.objects.of_fleets(run.reading.get("fleets")).values_list("slug", "pk")),
            # Of the run, so that it does not matter when a block is merged.
            now=run.started_at,
            default_fleet=run.fleet_id,
            link=Link(run.reading["link"]),
        )
        own = external_authorities.own_identities()
        self._issuers = external_authorities.ExternalAuthorities(run.authorities_new)
        self._rejects = RejectsFile(run.pk, run.rejects_bytes)
        self._rehearsal = Rehearsal(run.update_known) if run.dry_run else None
        try:
            pieces = ((piece.block, piece) for piece in self._source.pieces(run.position))
            with Pool(self._pool_size, layout_of(run), rules, own) as pool, closing(pool.parsed(pieces)) as parsed:
                self._pool = pool
                for block, piece, staged in parsed:
                    self._take(block, piece, staged)
                    self._tell(run)
            self._finish()
        finally:
            self._rejects.close()

    def _open(self) -> None:
        run = self._run
        with transaction.atomic(), connection.cursor() as cursor:
            # An import that puts indexes off sees this one run, or this one sees what was put off.
            merge.wait_for_others(cursor)
            merge.make_tables(cursor)
            if not run.first_certificate_id:
                run.first_device_id, run.first_certificate_id = merge.draw_keys(cursor)
            if run.dry_run:
                _begin_anew(run)
            run.fingerprint, run.total = self._source.fingerprint, self._source.total
            run.state, run.problem, run.worked_at = ImportState.RUNNING, "", self._clock()
            run.save()
        deferred_indexes.make_unique_again()
        if not run.dry_run and deferred_indexes.put_off(run):
            self._novelty = Novelty()

    def _take(self, block: Block, piece: Piece, staged: Staged) -> None:
        if self._novelty and not self._is_surely_new(staged, self._novelty):
            self._make_unique_again()
        try:
            self._take_with_tries(block, piece, staged)
        except merge.IndexesNeeded:
            self._make_unique_again()
            self._take_with_tries(block, piece, staged)

    def _is_surely_new(self, staged: Staged, novelty: Novelty) -> bool:
        # Authorities' certificates are looked up by their fingerprints, and chains repeat them.
        return self._all_new and not staged.authorities and novelty.meet(staged.names)

    def _make_unique_again(self) -> None:
        deferred_indexes.make_unique_again()
        self._novelty = None

    def _take_with_tries(self, block: Block, piece: Piece, staged: Staged) -> None:
        for last_try in (*[False] * (_MOST_TRIES - 1), True):
            kept = self._run.rejects_bytes
            counted = {name: getattr(self._run, name) for name in _COUNTED}
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    self._take_in_transaction(cursor, block, piece, staged)
                return
            except (OperationalError, merge.IndexesNeeded) as error:
                self._rejects.take_back(kept)
                for name, value in counted.items():
                    setattr(self._run, name, value)
                # Those that this block brought were taken back with it.
                self._issuers = external_authorities.ExternalAuthorities(self._run.authorities_new)
                # Of two imports that meet in the same devices one is told to try again.
                if last_try or getattr(error.__cause__, "sqlstate", "") not in {_DEADLOCK, _SERIALIZATION_FAILURE}:
                    raise

    def _take_in_transaction(self, cursor: Any, block: Block, piece: Piece, staged: Staged) -> None:
        run, now = self._run, self._clock()
        # A power cut may take back the last blocks, position and all: they are merged again.
        cursor.execute("SET LOCAL synchronous_commit = off")
        merge.stage(cursor, staged)
        rejects = staged.rejects
        if self._rehearsal:
            self._rehearsal.keep(cursor, staged)
            run.certificates_repeated += staged.repeated
        else:
            run.authorities_new += self._issuers.make(staged.issuers, now)
            merged = merge.merge(
                cursor,
                staged,
                all_new=self._all_new,
                indexed=self._novelty is None,
                update_known=run.update_known,
                first_certificate_id=run.first_certificate_id,
                now=now,
                within=run.reading.get("fleets"),
            )
            self._all_new = merged.is_all_new(staged)
            if staged.authorities:
                self._issuers.link(staged.authorities)
            for name in _MERGED:
                setattr(run, name, getattr(run, name) + getattr(merged, name))
            if merged.rejected:
                originals = self._pool.parser.originals(block, set(merged.rejected))
                found = [Reject(line, reason, originals.get(line, "")) for line, reason in merged.rejected.items()]
                rejects = sorted([*rejects, *found], key=lambda reject: reject.line)
        run.records += staged.records
        if not run.dry_run:  # which begins anew each time
            run.attempts = 0
        self._reject(rejects)
        run.position, run.done, run.worked_at = piece.position, piece.done, now
        run.save(update_fields=_SAVED)

    def _reject(self, rejects: list[Reject]) -> None:
        run = self._run
        run.rejected += len(rejects)
        run.rejects_bytes = self._rejects.add(rejects)
        room = _FIRST_REJECTS - len(run.first_rejects)
        run.first_rejects = run.first_rejects + [
            {"line": reject.line, "reason": reject.reason, "original": reject.original[:_SHOWN_OF_A_REJECT]}
            for reject in rejects[: max(0, room)]
        ]

    def _finish(self) -> None:
        run = self._run
        if not run.records:
            raise SourceRefused("Nothing was found in it: no device, no certificate, and nothing to reject.")
        deferred_indexes.make_up_for(run)
        with transaction.atomic(), connection.cursor() as cursor:
            if self._rehearsal:
                outcome = self._rehearsal.outcome(cursor)
                for name, count in outcome.counts.items():
                    setattr(run, name, getattr(run, name) + count)
                self._reject(outcome.rejects)
            run.state, run.finished_at = ImportState.FINISHED, self._clock()
            run.worked_at = run.finished_at
            run.save()
            _audit(run, AuditAction.IMPORT_FINISHED, run.finished_at, counts(run))


_MERGED = [field.name for field in dataclasses.fields(merge.Merged) if field.name != "rejected"]
_COUNTED = [
    *_MERGED,
    "records",
    "authorities_new",
    "rejected",
    "first_rejects",
    "rejects_bytes",
    "position",
    "done",
    "attempts",
]
_SAVED = [*_COUNTED, "worked_at", "attempts"]


def counts(run: ImportRun) -> dict[str, int]:
    """Return what came of a run, in numbers."""
    return {name: getattr(run, name) for name in (*_MERGED, "records", "authorities_new", "rejected")}


def _begin_anew(run: ImportRun) -> None:
    """A dry run keeps what it saw in its session only."""
    for name in (*_MERGED, "records", "authorities_new", "rejected", "rejects_bytes", "done"):
        setattr(run, name, 0)
    run.first_rejects, run.position = [], None


def _problem(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "It was interrupted."
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename or 'the files of the import'}"
    return " ".join(str(error).split()) or type(error).__name__


def count_attempt(run: ImportRun) -> bool:
    """Count an attempt to continue a run. Return False when there were too many since its last block.

    To be called by whoever starts runs by itself, and is alone with this one.
    """
    if run.attempts >= MOST_ATTEMPTS:
        return False
    run.attempts += 1
    run.save(update_fields=["attempts"])
    return True


def stop(run: ImportRun, problem: str, now: datetime) -> None:
    """Mark a run as stopped, unless it has ended. The row has the committed counts; `run` may be ahead of it."""
    with transaction.atomic():
        stored = ImportRun.objects.select_for_update(of=("self",)).get(pk=run.pk)
        if stored.state not in UNFINISHED:
            return
        stored.state, stored.problem, stored.worked_at = ImportState.STOPPED, problem[:2000], now
        stored.save(update_fields=["state", "problem", "worked_at"])
        _audit(stored, AuditAction.IMPORT_STOPPED, now, {**counts(stored), "problem": stored.problem})
    # Last: what stopped the run may stop this too. A periodic job tries again.
    deferred_indexes.make_up_for(stored)


def _audit(run: ImportRun, action: AuditAction, now: datetime, details: dict[str, Any]) -> None:
    actor = Actor(ActorKind(run.actor_kind), run.actor)
    details = {"run": run.pk, **details}
    record([event(action, now=now, actor=actor, object_name=f"import {run}", details=details)])


@contextmanager
def only_worker(run: ImportRun) -> Iterator[None]:
    """Hold the lock of a run: one process works on it at a time. Raises BusyElsewhere after five seconds."""
    tries = _TRIES_FOR_LOCK
    with ExitStack() as held:
        while not held.enter_context(session_locks.held(_lock_of(run))):
            tries -= 1
            if not tries:
                raise BusyElsewhere(f"Another process works on run {run.pk}.")
            time.sleep(_SECONDS_BETWEEN_TRIES)
        yield


def nobody_works_on(run: ImportRun) -> bool:
    with session_locks.held(_lock_of(run)) as free:
        return free


def _lock_of(run: ImportRun) -> int:
    return session_locks.key_of(f"certportal import {run.pk}")


def stuck(now: datetime) -> list[ImportRun]:
    """Return the unfinished runs without progress for minutes and without a process that works on them."""
    quiet = ImportRun.objects.filter(state__in=UNFINISHED, worked_at__lt=now - _MAY_BE_QUIET).order_by("pk")
    return [run for run in quiet if is_stuck(run, now)]


def is_stuck(run: ImportRun, now: datetime) -> bool:
    return run.state in UNFINISHED and run.worked_at < now - _MAY_BE_QUIET and nobody_works_on(run)
