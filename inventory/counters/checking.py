"""Verifying the counters against the tables, and repairing them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from django.db import connection, transaction

from inventory.counters.folding import LOCK
from inventory.counters.statements import added, by_axis, folded

_CERTIFICATES = """
    SELECT (not_after AT TIME ZONE 'UTC')::date AS day, fleet_id, site_id, batch_id, profile_id, authority_id,
           inventory_counter_state(state, predecessor_id) AS state, count(*) AS number
    FROM inventory_certificate JOIN inventory_device ON inventory_device.id = device_id
    WHERE purpose = 'device'
    GROUP BY 1, 2, 3, 4, 5, 6, 7"""
# One statement is one snapshot: nothing is between a certificate and its delta.
_DIFFERENCES = f"""
    SELECT axis, fleet_id, group_id, day, state,
           coalesce(sum(number) FILTER (WHERE counted), 0) AS counted,
           coalesce(sum(number) FILTER (WHERE NOT counted), 0) AS there
    FROM (
        SELECT *, true AS counted FROM ({folded()}) folded
        UNION ALL
        SELECT *, true FROM ({by_axis("SELECT * FROM inventory_certificatedelta")}) deltas
        UNION ALL
        SELECT *, false FROM ({by_axis(_CERTIFICATES)}) certificates
    ) numbers
    GROUP BY 1, 2, 3, 4, 5
    HAVING sum(CASE WHEN counted THEN number ELSE -number END) <> 0"""
_DEVICE_DIFFERENCES = """
    SELECT fleet_id, sum(counted) AS counted, sum(there) AS there,
           sum(counted_unseen) AS counted_unseen, sum(there_unseen) AS there_unseen
    FROM (
        SELECT fleet_id, number AS counted, 0 AS there, never_seen AS counted_unseen, 0 AS there_unseen
        FROM inventory_devicecount
        UNION ALL
        SELECT fleet_id, number, 0, never_seen, 0 FROM inventory_devicedelta
        UNION ALL
        SELECT fleet_id, 0, count(*), 0, count(*) FILTER (WHERE last_seen_at IS NULL)
        FROM inventory_device LEFT JOIN inventory_devicepresence ON device_id = inventory_device.id
        GROUP BY 1
    ) numbers
    GROUP BY 1
    HAVING (sum(counted), sum(counted_unseen)) IS DISTINCT FROM (sum(there), sum(there_unseen))"""
_REPAIR = added(
    f"SELECT axis, fleet_id, group_id, day, state, there - counted AS number FROM ({_DIFFERENCES}) differences"
)
_REPAIR_DEVICES = f"""
    INSERT INTO inventory_devicecount AS total (fleet_id, number, never_seen)
    SELECT fleet_id, there - counted, there_unseen - counted_unseen FROM ({_DEVICE_DIFFERENCES}) differences
    ON CONFLICT (fleet_id) DO UPDATE SET
        number = total.number + excluded.number, never_seen = total.never_seen + excluded.never_seen"""


@dataclass(frozen=True)
class Difference:
    """A counter that is wrong: what it counts, what it says, and how many there are."""

    what: str
    counted: int
    there: int

    def __str__(self) -> str:
        return f"{self.what}: counted {self.counted}, there are {self.there}"


def differences() -> list[Difference]:
    """Compare every counter with the rows it counts; return the wrong ones. Reads both tables once, whole."""
    with connection.cursor() as cursor:
        cursor.execute(f"{_DIFFERENCES} ORDER BY 1, 2, 4, 3, 5")
        found = [
            Difference(_certificates(axis, fleet, group, day, state), int(counted), int(there))
            for axis, fleet, group, day, state, counted, there in cursor
        ]
        cursor.execute(f"{_DEVICE_DIFFERENCES} ORDER BY 1")
        return [*found, *(wrong for row in cursor for wrong in _of_devices(*row))]


def repair() -> None:
    """Add to every wrong counter what it lacks. No writer waits: what they write meanwhile is theirs to add."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Before the statements below take their snapshots: nobody folds in between.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        cursor.execute(_REPAIR)
        cursor.execute(_REPAIR_DEVICES)


def _certificates(axis: str, fleet: int, group: int | None, day: date, state: str) -> str:
    return f"{state} certificates of {axis} {group or 'none'} in fleet {fleet} that end on {day.isoformat()}"


def _of_devices(fleet: int, counted: int, there: int, counted_unseen: int, there_unseen: int) -> Iterator[Difference]:
    if counted != there:
        yield Difference(f"devices of fleet {fleet}", int(counted), int(there))
    if counted_unseen != there_unseen:
        yield Difference(f"devices of fleet {fleet} that were never seen", int(counted_unseen), int(there_unseen))
