"""Which devices something has happened to since a campaign last looked, read from the audit log that every act writes.

What is read grows with what happened, not with the campaign. Events get their numbers in the order in which they are
written, not in that of their commits: a lower one may appear after a higher one. So a campaign keeps a mark. Up to
`read_to` it has read everything. `drawn_to` is how far numbers were drawn at `drawn_at`, by the database's clock: once
every transaction that began before has ended, what is read from `read_to` on is all up to there.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from inventory.models import AuditAction

# By what a target changes: its device has another certificate or used one, was refused one, or is ours no more.
_OF_DEVICES = (
    AuditAction.CERTIFICATE_ENROLLED,
    AuditAction.CERTIFICATE_RENEWED,
    AuditAction.CERTIFICATE_CONFIRMED,
    AuditAction.CERTIFICATE_REVOKED,
    AuditAction.RENEWAL_REFUSED,
    AuditAction.CONFIGURATION_CHANGED,
)
# These change devices of which the log says nothing one by one.
_OF_MANY = (AuditAction.IMPORT_FINISHED, AuditAction.IMPORT_STOPPED)

# Who has written nothing has drawn no number, unless it does so at this moment: for a minute each is waited for.
# Of other roles PostgreSQL shows no beginning; what they change by hand the sweep finds.
_LOOK = """
    SELECT numbers.last_value, clock_timestamp(), (
        SELECT min(xact_start) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = current_database()
          AND (backend_xid IS NOT NULL OR xact_start > clock_timestamp() - interval '1 minute')
    ) FROM inventory_auditevent_id_seq AS numbers"""
_NEWS = """
    WITH news AS MATERIALIZED (
        SELECT DISTINCT device_id, action FROM inventory_auditevent WHERE id > %(read_to)s AND action = ANY(%(actions)s)
    )
    SELECT ARRAY(
        SELECT target.id FROM (SELECT DISTINCT device_id FROM news) changed
        JOIN renewal_target target ON target.device_id = changed.device_id AND target.campaign_id = %(campaign)s
        ORDER BY 1
    ), EXISTS (
        SELECT FROM news WHERE action = ANY(%(of_many)s) OR device_id IS NULL AND action = %(revoked)s
    )"""


@dataclass(frozen=True)
class Mark:
    """How far events were read, None while all has to be, and how far their numbers were drawn by then."""

    read_to: int | None
    drawn_to: int
    drawn_at: datetime


@dataclass(frozen=True)
class News:
    """The targets of a campaign whose devices something happened to; `of_any`: perhaps to any, it does not say."""

    targets: list[int]
    of_any: bool


def look(last: Mark | None) -> Mark:
    """Return the mark that holds once everything `since` the last one is read, which must be read after. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_LOOK)
        drawn_to, drawn_at, oldest = cursor.fetchone()
    if last is None:
        return Mark(None, drawn_to, drawn_at)
    if oldest is not None and oldest <= last.drawn_at:
        return last
    return Mark(last.drawn_to, drawn_to, drawn_at)


def since(read_to: int, campaign: int) -> News:
    """Return what events after `read_to` tell, some of it perhaps read before. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            _NEWS,
            {
                "read_to": read_to,
                "campaign": campaign,
                "actions": [action.value for action in (*_OF_DEVICES, *_OF_MANY)],
                "of_many": [action.value for action in _OF_MANY],
                "revoked": AuditAction.CERTIFICATE_REVOKED.value,
            },
        )
        return News(*cursor.fetchone())
