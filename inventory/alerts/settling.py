"""When the alert of a device's certificate has ended, and the job that lets it end within seconds.

A renewal writes nothing for alerts: thousands a second would each look for one. The audit log tells which devices
something happened to, and those are looked at soon after. A sweep looks at all, and finds what the log does not tell.
"""

from datetime import datetime, timedelta

from django.db import connection

from inventory.models import AuditAction

# How far back events are looked at, again and again: what began then has committed, or a sweep finds it.
_NEWS = timedelta(minutes=1)
# A new certificate, a revoked one, and a device that was taken out of service.
_ENDS_ALERTS = (
    AuditAction.CERTIFICATE_ENROLLED,
    AuditAction.CERTIFICATE_RENEWED,
    AuditAction.CERTIFICATE_REVOKED,
    AuditAction.CONFIGURATION_CHANGED,
    AuditAction.CASE_CLOSED,
)

# `newer` is the coverage that lists and campaigns mean by renewed: a later certificate that the device may stand on.
NEWER = """
    SELECT FROM inventory_certificate newer
    WHERE newer.device_id = c.device_id AND (newer.issued_at, newer.id) > (c.issued_at, c.id)
      AND newer.state IN ('issued', 'confirmed')
      AND newer.not_after >= %(now)s
"""
# Why an alert of the certificate `c` of the device `d` has ended; null while it has not.
RESOLUTION = f"""
    CASE WHEN c.state = 'revoked' THEN 'revoked'
         WHEN c.state = 'superseded' OR EXISTS ({NEWER}) THEN 'renewed'
         WHEN d.status <> 'in_service' THEN 'out_of_service'
    END
"""

# A row that somebody else writes is left to the next time: so this waits for nobody, and is in nobody's way for long.
_SETTLE = f"""
    WITH changed AS MATERIALIZED (
        SELECT DISTINCT device_id FROM inventory_auditevent
        WHERE action = ANY(%(actions)s) AND at > %(since)s AND device_id IS NOT NULL
    ),
    due AS MATERIALIZED (
        SELECT a.id, {RESOLUTION} AS resolution
        FROM changed
        JOIN inventory_device d ON d.id = changed.device_id
        JOIN inventory_certificate c ON c.device_id = d.id
        JOIN inventory_alert a ON a.certificate_id = c.id AND a.urgency = 1 AND a.resolved_at IS NULL
        FOR NO KEY UPDATE OF a SKIP LOCKED
    )
    UPDATE inventory_alert SET resolved_at = %(now)s, resolution = due.resolution
    FROM due WHERE inventory_alert.id = due.id AND due.resolution IS NOT NULL
"""  # noqa: S608 - made of our own constants


def settle(now: datetime) -> int:
    """End the alerts whose device has news that ends them. Return how many. One statement, as large as the news."""
    with connection.cursor() as cursor:
        actions = [action.value for action in _ENDS_ALERTS]
        cursor.execute(_SETTLE, {"now": now, "since": now - _NEWS, "actions": actions})
        return int(cursor.rowcount)
