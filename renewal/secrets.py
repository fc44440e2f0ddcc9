"""Making one-time enrolment secrets."""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import connection, transaction

from inventory import session_locks
from inventory.audit.record import Actor, event, record
from inventory.models import AuditAction, Device
from renewal.models import EnrolmentProtocol, EnrolmentSecret

LIFETIME = timedelta(days=30)


def create(device: Device, protocol: EnrolmentProtocol, *, now: datetime, actor: Actor) -> str:
    """Create a secret for `device` and return it. Only its hash is stored, so it cannot be shown again.

    Unspent secrets of the same device and protocol expire: one is valid at a time.
    """
    secret = secrets.token_urlsafe(18)
    with transaction.atomic():
        _wait_for_other_makers(device)
        EnrolmentSecret.objects.filter(device=device, protocol=protocol, spent_at=None, expires_at__gt=now).update(
            expires_at=now
        )
        EnrolmentSecret.objects.create(
            device=device,
            protocol=protocol,
            sha256=hashlib.sha256(secret.encode()).digest(),
            created_at=now,
            expires_at=now + LIFETIME,
        )
        record(
            [
                event(
                    AuditAction.SECRET_CREATED,
                    now=now,
                    actor=actor,
                    object_name=device.serial,
                    device=device,
                    details={"protocol": protocol},
                )
            ]
        )
    return secret


def _wait_for_other_makers(device: Device) -> None:
    """Hold a lock until the end of the transaction. Not on the device's row: enrolments take it after the secret's."""
    with connection.cursor() as cursor:
        key = session_locks.key_of(f"enrolment secret of device {device.pk}")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])
