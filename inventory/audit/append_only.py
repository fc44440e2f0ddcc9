"""Whether the database still refuses to change the audit log."""

from django.db import connection

# 'O' fires except for sessions that replicate, 'A' always; 'R' and 'D' do not fire for us.
_IS_ON = """
    SELECT EXISTS (SELECT FROM pg_trigger
                   WHERE tgrelid = 'inventory_auditevent'::regclass AND tgname = 'audit_is_append_only'
                     AND tgenabled IN ('O', 'A'))"""


def trigger_is_on() -> bool:
    """Return whether the trigger that refuses UPDATE and DELETE is there and enabled. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_ON)
        [found] = cursor.fetchone()
    return bool(found)
