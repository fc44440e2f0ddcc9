"""How many certificates stand how, now: whole days from the counters, the two days that `now` cuts from the rows.

The numbers are those of `inventory.standing.with_standing`, to the row: they stand on tiles that lead to its lists.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from django.db import connection

from inventory.counters.statements import STANDING
from inventory.models import CertificateState, Purpose
from inventory.models.certificate import LIVE_STATES
from inventory.standing import EXPIRING_SPAN

_OF_FLEET = "(%(fleet)s::bigint IS NULL OR fleet_id = %(fleet)s)"
_DELTA_OF = "CASE WHEN state {} THEN number ELSE 0 END"
_STANDING = "purpose = %(device)s AND state = ANY(%(live)s)"
_UNCONFIRMED = "state = %(issued)s AND predecessor_id IS NOT NULL"
# The rows that a part of a day holds, from the index of expiry.
_ENDING = f"""
    SELECT count(*) AS number, count(*) FILTER (WHERE {_UNCONFIRMED}) AS unconfirmed
    FROM inventory_certificate WHERE {_STANDING}"""
# Those not valid yet, from the index of beginnings. Their state is asked of the rows: among the conditions it would
# bring in an index of all that stands, which holds millions and narrows nothing.
_LATER = f"""
    SELECT count(*) FILTER (WHERE {_STANDING}) AS number,
           count(*) FILTER (WHERE {_STANDING} AND not_after < %(soon)s) AS expiring,
           count(*) FILTER (WHERE {_STANDING} AND {_UNCONFIRMED}) AS unconfirmed
    FROM inventory_certificate WHERE not_before > %(now)s"""
_IN_FLEET = """
      AND EXISTS (SELECT FROM inventory_device WHERE inventory_device.id = device_id AND fleet_id = %(fleet)s)"""

_ENDED_TODAY = "{rows} AND not_after >= %(start_of_today)s AND not_after < %(now)s"
_RENEWALS, _REVOKED = (_DELTA_OF.format(test) for test in ("= 'unconfirmed'", "= 'revoked'"))
# Conditions may be added at the end: they then hold for counts and deltas alike.
_DAYS = f"""
    SELECT day, standing, unconfirmed, revoked FROM (
        SELECT day, {" + ".join(STANDING)} AS standing, unconfirmed, revoked
        FROM inventory_certificatecount WHERE axis = 'fleet' AND {_OF_FLEET}
        UNION ALL
        SELECT day, {_DELTA_OF.format(f"IN {STANDING}")}, {_RENEWALS}, {_REVOKED}
        FROM inventory_certificatedelta WHERE {_OF_FLEET}
    ) counted WHERE true"""


@dataclass(frozen=True)
class Standings:
    """Device certificates by what a person asks of them. `valid` holds the expiring and the unconfirmed too."""

    valid: int
    expiring: int
    expired: int
    revoked: int
    unconfirmed: int


def standings(now: datetime, *, fleet_id: int | None = None) -> Standings:
    """Count them. One statement."""
    [row] = _fetch(_statement(in_fleet=fleet_id is not None), now, fleet_id)
    return Standings(*map(int, row))


def expired(now: datetime, *, fleet_id: int | None = None) -> int:
    """Count only the expired, by what has ended: nothing of it depends on when certificates begin. One statement."""
    ended_today = _ENDED_TODAY.format(rows=_rows(_ENDING, in_fleet=fleet_id is not None))
    statement = f"""
    WITH days AS ({_DAYS} AND day < %(today)s), ended_today AS ({ended_today})
    SELECT (SELECT coalesce(sum(standing), 0) FROM days) + number FROM ended_today"""
    [(number,)] = _fetch(statement, now, fleet_id)
    return int(number)


def _fetch(statement: str, now: datetime, fleet_id: int | None) -> list[tuple[Any, ...]]:
    soon = now + EXPIRING_SPAN
    today, soon_day = now.astimezone(UTC).date(), soon.astimezone(UTC).date()
    parameters = {
        "fleet": fleet_id,
        "now": now,
        "today": today,
        "start_of_today": datetime.combine(today, time.min, UTC),
        "soon": soon,
        "soon_day": soon_day,
        "start_of_soon_day": datetime.combine(soon_day, time.min, UTC),
        "issued": CertificateState.ISSUED.value,
        "live": [state.value for state in LIVE_STATES],
        "device": Purpose.DEVICE.value,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _rows(rows: str, *, in_fleet: bool) -> str:
    return rows + (_IN_FLEET if in_fleet else "")


def _statement(*, in_fleet: bool) -> str:
    ending, later = _rows(_ENDING, in_fleet=in_fleet), _rows(_LATER, in_fleet=in_fleet)
    return f"""
    WITH days AS ({_DAYS}), whole AS (
        SELECT coalesce(sum(standing) FILTER (WHERE day < %(today)s), 0) AS past,
               coalesce(sum(standing) FILTER (WHERE day >= %(today)s), 0) AS ahead,
               coalesce(sum(standing) FILTER (WHERE day >= %(today)s AND day < %(soon_day)s), 0) AS expiring,
               coalesce(sum(unconfirmed) FILTER (WHERE day >= %(today)s), 0) AS unconfirmed,
               coalesce(sum(revoked), 0) AS revoked
        FROM days
    ), ended_today AS ({_ENDED_TODAY.format(rows=ending)}), ending_that_day AS (
        {ending} AND not_after >= %(start_of_soon_day)s AND not_after < %(soon)s
    ), later AS (
        {later}
    )
    SELECT ahead - ended_today.number - later.number,
           whole.expiring + ending_that_day.number - ended_today.number - later.expiring,
           past + ended_today.number,
           revoked,
           whole.unconfirmed - ended_today.unconfirmed - later.unconfirmed
    FROM whole, ended_today, ending_that_day, later"""
