"""Indexes and foreign keys put off while a first load fills the big tables: made once for all rows, not row by row.

Only what no merge stands on is taken: primary keys, unique and check constraints stay. What was taken is in the run's
row before it is gone, and leaves it when it is made.
"""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from django.db import OperationalError, connection, transaction

from inventory.models import ImportRun

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


def put_off(run: ImportRun) -> None:
    """Take away what can be made again, when the run is a first load: a large source, a nearly empty inventory.

    When others hold the tables for seconds, nothing is put off.
    """
    if run.put_off or (run.total or 0) < LEAST_BYTES:
        return
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '5s'")
            cursor.execute(
                "SELECT count(*) FROM (SELECT FROM inventory_certificate LIMIT %s) AS few", [MOST_ROWS_BEFORE]
            )
            [before] = cursor.fetchone()
            if before >= MOST_ROWS_BEFORE:
                return
            cursor.execute(_INDEXES)
            found = cursor.fetchall()
            cursor.execute(_FOREIGN_KEYS)
            found += cursor.fetchall()
            run.put_off = [again for _away, again in found]
            run.save(update_fields=["put_off"])
            for away, _again in found:
                cursor.execute(away)
    except OperationalError as error:
        run.put_off = []
        if getattr(error.__cause__, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
            raise


def make_up_for(run: ImportRun) -> None:
    """Make again what a run has put off: indexes, some at a time, then the foreign keys, each checked for every row.

    Each is a transaction with the row of the run: what is not made yet is known, whatever ends the process.
    """
    if not run.put_off:
        return
    # A foreign key takes a lock that lets no index be made beside it.
    indexes = deque(each for each in run.put_off if each.startswith("CREATE"))
    foreign_keys = [each for each in run.put_off if each not in indexes]
    with ThreadPoolExecutor(_SESSIONS) as sessions:
        for session in [sessions.submit(_make_in_own_session, run.pk, indexes) for _ in range(_SESSIONS)]:
            session.result()
    for again in foreign_keys:
        _make(run.pk, again)
    run.put_off = []
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE inventory_device, inventory_certificate")


def _make_in_own_session(run: int, waiting: deque[str]) -> None:
    """Make what waits until nothing does. Connections are a thread's own."""
    try:
        with suppress(IndexError):
            while True:
                _make(run, waiting.popleft())
    finally:
        connection.close()


def _make(run: int, again: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        # A power cut takes back the index with the row that says it is made; the end of the run is durable.
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
        # The other session has the other core.
        cursor.execute("SET LOCAL max_parallel_maintenance_workers = 0")
        cursor.execute(again)
        cursor.execute("UPDATE inventory_importrun SET put_off = put_off - %s WHERE id = %s", [again, run])
