"""Indexes of the big tables put off while a first load fills them: made once from all rows, not row by row.

Only indexes that no rule stands on are taken: keys, unique ones and those of foreign keys' targets stay. Their
definitions are in the run's row before they are dropped, so that whoever comes next makes them again.
"""

from django.db import connection, transaction

from inventory.models import ImportRun

# Above this the lists of a portal in use would suffer more than the import gains.
MOST_ROWS_BEFORE = 100_000
# A source below this is loaded before indexes are made again.
LEAST_BYTES = 256 << 20

_DROPPABLE = """
    SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
    FROM pg_index
    WHERE indrelid IN ('inventory_device'::regclass, 'inventory_certificate'::regclass)
        AND NOT indisunique AND indisvalid
    ORDER BY 1
"""


def put_off(run: ImportRun) -> None:
    """Drop what can be made again, when the run is a first load: a large source, a nearly empty inventory."""
    if run.put_off or (run.total or 0) < LEAST_BYTES:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT FROM inventory_certificate LIMIT %s) AS few", [MOST_ROWS_BEFORE])
        [before] = cursor.fetchone()
        if before >= MOST_ROWS_BEFORE:
            return
        cursor.execute(_DROPPABLE)
        found = cursor.fetchall()
        run.put_off = [
            definition.replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS", 1) for _name, definition in found
        ]
        run.save(update_fields=["put_off"])
        for name, _definition in found:
            cursor.execute(f"DROP INDEX {name}")


def make_up_for(run: ImportRun) -> None:
    """Make the indexes again that a run has put off."""
    if not run.put_off:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
        for definition in run.put_off:
            cursor.execute(definition)
        run.put_off = []
        run.save(update_fields=["put_off"])
        cursor.execute("ANALYZE inventory_device, inventory_certificate")
