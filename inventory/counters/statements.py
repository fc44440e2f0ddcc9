"""The pieces of SQL that folding, reading and checking share. Pure text."""

from inventory.models import Axis

STATES = ("issued", "unconfirmed", "confirmed", "superseded", "revoked")
# Those that a device stands on: `LIVE_STATES` of certificates.
STANDING = ("issued", "unconfirmed", "confirmed")

_SUMS = ", ".join(f"coalesce(sum(number) FILTER (WHERE state = '{state}'), 0)" for state in STATES)
_ADDED = ", ".join(f"{state} = total.{state} + excluded.{state}" for state in STATES)
_GROUPS = ", ".join(f"('{axis.value}', {axis.value}_id)" for axis in Axis)
_UNPIVOTED = ", ".join(f"('{state}', {state})" for state in STATES)


def by_axis(cells: str) -> str:
    """Return a query that counts each row of the query `cells` once an axis: axis, fleet_id, group_id, day, state."""
    return f"""
        SELECT axis, fleet_id, group_id, day, state, sum(number) AS number
        FROM ({cells}) cells CROSS JOIN LATERAL (VALUES {_GROUPS}) AS groups (axis, group_id)
        GROUP BY 1, 2, 3, 4, 5"""


def added(numbers: str) -> str:
    """Return a statement that adds the rows of the query `numbers`, in the form of `by_axis`, to the counts."""
    return f"""
        INSERT INTO inventory_certificatecount AS total (axis, fleet_id, group_id, day, {", ".join(STATES)})
        SELECT axis, fleet_id, group_id, day, {_SUMS}
        FROM ({numbers}) numbers WHERE number <> 0
        GROUP BY 1, 2, 3, 4
        ON CONFLICT (axis, day, fleet_id, group_id) DO UPDATE SET {_ADDED}"""


def folded() -> str:
    """Return a query of the counts in the form of `by_axis`."""
    return f"""
        SELECT axis, fleet_id, group_id, day, state, number
        FROM inventory_certificatecount CROSS JOIN LATERAL (VALUES {_UNPIVOTED}) AS states (state, number)"""
