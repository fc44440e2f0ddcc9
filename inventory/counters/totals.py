"""How many certificates stand how, now: whole days from the counters, the two days that `now` cuts from the rows.

The numbers are those of `CertificateQuerySet.of_status`, to the row: they stand on tiles that lead to its lists.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time

from django.db import connection

from inventory.counters.statements import STANDING
from inventory.models import CertificateState, FleetIds, Purpose
from inventory.models.certificate import EXPIRING_SPAN, LIVE_STATES

_OF_FLEETS = "(%(fleets)s::bigint[] IS NULL OR fleet_id = ANY(%(fleets)s))"
_DELTA_OF = "CASE WHEN state {} THEN number ELSE 0 END"
# The rows that a part of a day holds are found in the index of expiry, those not valid yet in that of beginnings.
_ROWS = """
    SELECT count(*) AS number,
           count(*) FILTER (WHERE not_after < %(soon)s) AS expiring,
           count(*) FILTER (WHERE state = %(issued)s AND predecessor_id IS NOT NULL) AS unconfirmed
    FROM {certificates}
    WHERE purpose = %(device)s AND state = ANY(%(live)s)"""
_CERTIFICATES = "inventory_certificate"
# OFFSET is a fence: PostgreSQL would go through the whole index of what stands to narrow these few.
_LATER = "(SELECT * FROM inventory_certificate WHERE not_before > %(now)s OFFSET 0) later"
_IN_FLEETS = """
      AND EXISTS (SELECT FROM inventory_device WHERE inventory_device.id = device_id AND fleet_id = ANY(%(fleets)s))"""


@dataclass(frozen=True)
class Standings:
    """Device certificates by what a person asks of them. `valid` holds the expiring and the unconfirmed too."""

    valid: int
    expiring: int
    expired: int
    revoked: int
    unconfirmed: int


def standings(now: datetime, *, fleets: FleetIds = None) -> Standings:
    """Count them. One statement."""
    soon = now + EXPIRING_SPAN
    today, soon_day = now.astimezone(UTC).date(), soon.astimezone(UTC).date()
    parameters = {
        "fleets": None if fleets is None else list(fleets),
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
        cursor.execute(_statement(in_fleets=fleets is not None), parameters)
        [row] = cursor.fetchall()
    return Standings(*map(int, row))


def _statement(*, in_fleets: bool) -> str:
    narrowed = _ROWS + (_IN_FLEETS if in_fleets else "")
    rows, later = narrowed.format(certificates=_CERTIFICATES), narrowed.format(certificates=_LATER)
    standing, renewals, revoked = (
        _DELTA_OF.format(test) for test in (f"IN {STANDING}", "= 'unconfirmed'", "= 'revoked'")
    )
    return f"""
    WITH days AS (
        SELECT day, {" + ".join(STANDING)} AS standing, unconfirmed, revoked
        FROM inventory_certificatecount WHERE axis = 'fleet' AND {_OF_FLEETS}
        UNION ALL
        SELECT day, {standing}, {renewals}, {revoked} FROM inventory_certificatedelta WHERE {_OF_FLEETS}
    ), whole AS (
        SELECT coalesce(sum(standing) FILTER (WHERE day < %(today)s), 0) AS past,
               coalesce(sum(standing) FILTER (WHERE day >= %(today)s), 0) AS ahead,
               coalesce(sum(standing) FILTER (WHERE day >= %(today)s AND day < %(soon_day)s), 0) AS expiring,
               coalesce(sum(unconfirmed) FILTER (WHERE day >= %(today)s), 0) AS unconfirmed,
               coalesce(sum(revoked), 0) AS revoked
        FROM days
    ), ended_today AS (
        {rows} AND not_after >= %(start_of_today)s AND not_after < %(now)s
    ), ending_that_day AS (
        {rows} AND not_after >= %(start_of_soon_day)s AND not_after < %(soon)s
    ), later AS (
        {later}
    )
    SELECT ahead - ended_today.number - later.number,
           whole.expiring + ending_that_day.number - ended_today.number - later.expiring,
           past + ended_today.number,
           revoked,
           whole.unconfirmed - ended_today.unconfirmed - later.unconfirmed
    FROM whole, ended_today, ending_that_day, later"""
