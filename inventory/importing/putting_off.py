"""Indexes and foreign keys put off while a first load fills the big tables: made once for all rows, not row by row.

Only what no merge stands on is taken: primary keys, unique and check constraints stay. What was taken is in the run's
row before it is gone, and comes back in one transaction, in which the foreign keys are checked for every row.
"""

from django.db import OperationalError, connection, transaction

from inventory.models import ImportRun

# Above this the lists of a portal in use would suffer more than the import gains.
MOST_ROWS_BEFORE = 100_000
# A source below this is loaded before indexes are made again.
LEAST_BYTES = 256 << 20
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
    """Make again what a run has put off."""
    if not run.put_off:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
        for again in run.put_off:
            cursor.execute(again)
        run.put_off = []
        run.save(update_fields=["put_off"])
        cursor.execute("ANALYZE inventory_device, inventory_certificate")
