"""Folding deltas into counts. One at a time; whoever comes second leaves the work to the first."""

from django.db import connection, transaction

from inventory.counters.statements import STATES, added, by_axis

# One transaction folds this many deltas, well under a second.
BATCH = 20_000
# The first eight bytes of "counters", as PostgreSQL's advisory locks have numbers for names.
LOCK = int.from_bytes(b"counters")

_FOLD_CERTIFICATES = (
    """
    WITH taken AS (
        DELETE FROM inventory_certificatedelta
        WHERE id IN (SELECT id FROM inventory_certificatedelta ORDER BY id LIMIT %s)
        RETURNING *
    ), written AS ("""
    + added(by_axis("SELECT * FROM taken"))
    + """
    )
    SELECT count(*) FROM taken"""
)
_FOLD_DEVICES = """
    WITH taken AS (
        DELETE FROM inventory_devicedelta
        WHERE id IN (SELECT id FROM inventory_devicedelta ORDER BY id LIMIT %s)
        RETURNING *
    ), written AS (
        INSERT INTO inventory_devicecount AS total (fleet_id, number, never_seen)
        SELECT fleet_id, sum(number), sum(never_seen) FROM taken GROUP BY 1
        ON CONFLICT (fleet_id) DO UPDATE SET
            number = total.number + excluded.number, never_seen = total.never_seen + excluded.never_seen
    )
    SELECT count(*) FROM taken"""
_NOTHING = " AND ".join(f"{state} = 0" for state in STATES)


def fold(batch: int = BATCH) -> int:
    """Fold at most `batch` deltas of each kind; return how many there were, 0 while another one folds.

    Readers see each delta once: before the commit as a delta, after it in the count. Deltas that are not committed yet
    wait for the next time.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if cursor.fetchone() != (True,):
            return 0
        done = 0
        for statement in (_FOLD_CERTIFICATES, _FOLD_DEVICES):
            cursor.execute(statement, [batch])
            [(count,)] = cursor.fetchall()
            done += count
        return done


def fold_all(batch: int = BATCH) -> int:
    """Fold what is there, a batch a transaction; return how many deltas that were."""
    done = 0
    while count := fold(batch):
        done += count
    return done


def tidy() -> None:
    """Give back what folded deltas leave behind, which every reader would step over. Not inside a transaction."""
    with connection.cursor() as cursor:
        for table in ("certificatedelta", "devicedelta", "certificatecount"):
            cursor.execute(f"VACUUM (ANALYZE) inventory_{table}")


def forget_nothing() -> int:
    """Delete counts of nothing at all: days and groups that were left. Return how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        cursor.execute(f"DELETE FROM inventory_certificatecount WHERE {_NOTHING}")
        return int(cursor.rowcount)
