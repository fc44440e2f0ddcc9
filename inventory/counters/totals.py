"""Certificates by status, now. Whole days come from the counters, the two days that `now` divides from the rows.

The numbers are those of `CertificateQuerySet.of_status`, to the row: they stand on tiles that lead to its lists.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time

from django.db import connection

from inventory.counters.statements import STANDING
from inventory.models import Axis, CertificateState, FleetIds, Purpose
from inventory.models.authority import REVOKED
from inventory.models.certificate import EXPIRING_SPAN, LIVE_STATES

_OF_FLEETS = "(%(fleets)s::bigint[] IS NULL OR fleet_id = ANY(%(fleets)s))"
_DELTA_OF = "CASE WHEN state {} THEN number ELSE 0 END"
# The rows that a part of a day holds are found in the index of expiry, those not valid yet in that of beginnings.
_TRUSTED = f"authority_id <> ALL (ARRAY({REVOKED}))"
_ROWS = f"""
    SELECT count(*) FILTER (WHERE {_TRUSTED}) AS number,
           count(*) FILTER (WHERE {_TRUSTED} AND not_after < %(soon)s) AS expiring,
           count(*) FILTER (WHERE {_TRUSTED} AND state = %(issued)s AND predecessor_id IS NOT NULL) AS unconfirmed,
           count(*) AS trusted_or_not
    FROM {{certificates}}
    WHERE purpose = %(device)s AND state = ANY(%(live)s)"""
_CERTIFICATES = "inventory_certificate"
# OFFSET is a fence: PostgreSQL would go through the whole index of what stands to narrow these few.
_LATER = "(SELECT * FROM inventory_certificate WHERE not_before > %(now)s OFFSET 0) later"
_IN_FLEETS = """
      AND EXISTS (SELECT FROM inventory_device WHERE inventory_device.id = device_id AND fleet_id = ANY(%(fleets)s))"""


@dataclass(frozen=True)
class Standings:
    """Device certificates by what a person asks of them. `valid` holds the expiring and the unconfirmed too.

    `ended` are those a device stands on and that ended, whether their issuers are trusted or not.
    """

    valid: int
    expiring: int
    expired: int
    revoked: int
    unconfirmed: int
    issuer_revoked: int
    ended: int


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
        SELECT day, {_TRUSTED} AS trusted, standing, unconfirmed, revoked FROM (
            SELECT day, group_id AS authority_id, {" + ".join(STANDING)} AS standing, unconfirmed, revoked
            FROM inventory_certificatecount WHERE axis = '{Axis.AUTHORITY.value}' AND {_OF_FLEETS}
            UNION ALL
            SELECT day, authority_id, {standing}, {renewals}, {revoked}
            FROM inventory_certificatedelta WHERE {_OF_FLEETS}
        ) counted
    ), whole AS (
        SELECT coalesce(sum(standing) FILTER (WHERE trusted AND day < %(today)s), 0) AS past,
               coalesce(sum(standing) FILTER (WHERE trusted AND day >= %(today)s), 0) AS ahead,
               coalesce(sum(standing) FILTER (WHERE trusted AND day >= %(today)s AND day < %(soon_day)s), 0)
                   AS expiring,
               coalesce(sum(unconfirmed) FILTER (WHERE trusted AND day >= %(today)s), 0) AS unconfirmed,
               coalesce(sum(revoked), 0) AS revoked,
               coalesce(sum(standing) FILTER (WHERE NOT trusted), 0) AS issuer_revoked,
               coalesce(sum(standing) FILTER (WHERE day < %(today)s), 0) AS past_trusted_or_not
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
           whole.unconfirmed - ended_today.unconfirmed - later.unconfirmed,
           issuer_revoked,
           past_trusted_or_not + ended_today.trusted_or_not
    FROM whole, ended_today, ending_that_day, later"""
