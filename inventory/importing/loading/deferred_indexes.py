"""Drops indexes and constraints during a first load of the large tables, and creates them again at its end.

Only what no merge stands on is taken: primary keys, check constraints and what makes devices unique stay. What makes
certificates unique goes only where no device has one yet, and where `novelty` can stand in for it: it is made again as
soon as a row may be known, so that it can always be made. What was taken is in the run's row before it is gone, and
leaves it when it is made.
"""

from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from django.db import OperationalError, connection, transaction
from django.db.models import Q

from inventory.importing.loading import merge
from inventory.models import Certificate, ImportRun, ImportState, Purpose

# Above this the lists of a portal in use would suffer more than the import gains.
MOST_ROWS_BEFORE = 100_000
# A source below this is loaded before indexes are made again.
LEAST_BYTES = 256 << 20
# As many as the smallest machine of a portal has cores.
_SESSIONS = 2
_LOCK_NOT_AVAILABLE = "55P03"

_TABLES = "('inventory_device'::regclass, 'inventory_certificate'::regclass)"
# How to take each away, and how to make it again.
_INDEXES = f"""
    SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
    FROM pg_index WHERE indrelid IN {_TABLES} AND NOT indisunique AND indisvalid ORDER BY 1
"""  # noqa: S608
_FOREIGN_KEYS = f"""
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE conrelid IN {_TABLES} AND contype = 'f' ORDER BY 1
"""  # noqa: S608
# An index is made beside others, and then declared to be the constraint's; the constraint would let no other be made.
_UNIQUE = """
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname), pg_get_indexdef(conindid),
        format('ALTER TABLE %s ADD CONSTRAINT %I UNIQUE USING INDEX %I', conrelid::regclass, conname, conname)
    FROM pg_constraint WHERE conrelid = 'inventory_certificate'::regclass AND contype = 'u' ORDER BY 1
"""


def put_off(run: ImportRun) -> bool:
    """Take away what can be made again, when the run is a first load: a large source, a nearly empty inventory.

    When others hold the tables for seconds, nothing is put off. Returns whether unique indexes are among it.
    """
    if run.put_off or (run.total or 0) < LEAST_BYTES:
        return False
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '5s'")
            merge.wait_for_others(cursor)
            cursor.execute(
                "SELECT count(*) FROM (SELECT FROM inventory_certificate LIMIT %s) AS few", [MOST_ROWS_BEFORE]
            )
            [before] = cursor.fetchone()
            if before >= MOST_ROWS_BEFORE:
                return False
            cursor.execute(_INDEXES)
            found = cursor.fetchall()
            if also_unique := _only_the_portal_has_certificates() and not _another_import_runs(run):
                cursor.execute(_UNIQUE)
                found += cursor.fetchall()
            cursor.execute(_FOREIGN_KEYS)
            found += cursor.fetchall()
            run.put_off = [statement for _away, *again in found for statement in again]
            run.save(update_fields=["put_off"])
            for away, *_again in found:
                cursor.execute(away)
        return also_unique
    except OperationalError as error:
        run.put_off = []
        if getattr(error.__cause__, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
            raise
        return False


def _only_the_portal_has_certificates() -> bool:
    """Return whether nobody looks certificates up yet, and none can be met that the run has not brought."""
    others = Q(purpose__in=[Purpose.DEVICE, Purpose.TRACKED]) | Q(authority__external_identity__isnull=False)
    return not Certificate.objects.filter(others).exists()


def _another_import_runs(run: ImportRun) -> bool:
    return ImportRun.objects.filter(state=ImportState.RUNNING).exclude(pk=run.pk).exists()


def make_up_for(run: ImportRun) -> None:
    """Make again what a run has put off: indexes, some at a time, then the constraints, each checked for every row.

    Each is a transaction with the row of the run: what is not made yet is known, whatever ends the process.
    """
    run.refresh_from_db(fields=["put_off"])
    if not run.put_off:
        return
    _make_all(run.pk, run.put_off)
    run.put_off = []
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE inventory_device, inventory_certificate")


def make_unique_again() -> None:
    """Make what makes certificates unique, whichever run has put it off."""
    for pk, again in ImportRun.objects.exclude(put_off=[]).values_list("pk", "put_off"):
        _make_all(pk, [each for each in again if " UNIQUE " in each])


def _make_all(run: int, statements: Iterable[str]) -> None:
    # A constraint takes a lock that lets no index be made beside it.
    indexes = deque(each for each in statements if each.startswith("CREATE"))
    constraints = [each for each in statements if each not in indexes]
    with ThreadPoolExecutor(_SESSIONS) as sessions:
        for session in [sessions.submit(_make_in_own_session, run, indexes) for _ in range(_SESSIONS)]:
            session.result()
    for again in constraints:
        _make(run, again)


def _make_in_own_session(run: int, waiting: deque[str]) -> None:
    """Make what waits until nothing does. Connections are a thread's own."""
    try:
        with suppress(IndexError):
            while True:
                _make(run, waiting.popleft())
    finally:
        connection.close()


def _make(run: int, again: str) -> None:
    """Make one, unless another process just has: an import makes for another what it needs itself."""
    with transaction.atomic(), connection.cursor() as cursor:
        # A power cut takes back the index with the row that says it is made; the end of the run is durable.
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
        # The other session has the other core.
        cursor.execute("SET LOCAL max_parallel_maintenance_workers = 0")
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [again])
        if ImportRun.objects.filter(pk=run, put_off__contains=again).exists():
            cursor.execute(again)
            cursor.execute("UPDATE inventory_importrun SET put_off = put_off - %s WHERE id = %s", [again, run])
