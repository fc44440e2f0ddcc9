"""Making one-time enrolment secrets."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction

from inventory import pg_arrays, session_locks
from inventory.audit.record import Actor, event, record
from inventory.models import AuditAction, Device
from renewal.models import EnrolmentProtocol, EnrolmentSecret

LIFETIME = timedelta(days=30)


def create(device: Device, protocol: EnrolmentProtocol, *, now: datetime, actor: Actor) -> str:
    """Create a secret for `device` and return it; as `create_many`."""
    return create_many([device], protocol, now=now, actor=actor)[device.pk]


def create_many(
    devices: Sequence[Device], protocol: EnrolmentProtocol, *, now: datetime, actor: Actor
) -> dict[int, str]:
    """Create a secret for each of up to a thousand devices and return them by the keys of the devices.

    Only their hashes are stored, so they cannot be shown again. Unspent secrets of the same device and protocol expire:
    one is valid at a time. Five statements.
    """
    made = {device.pk: _new() for device in devices}
    with transaction.atomic():
        _wait_for_other_makers(made)
        unspent = EnrolmentSecret.objects.filter(device__in=made, protocol=protocol, spent_at=None, expires_at__gt=now)
        # In the order of enrolments, which lock theirs too.
        earlier = list(unspent.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
        if earlier:
            EnrolmentSecret.objects.filter(pk__in=earlier).update(expires_at=now)
        EnrolmentSecret.objects.bulk_create(
            EnrolmentSecret(
                device_id=device_id,
                protocol=protocol,
                sha256=hashlib.sha256(secret.encode()).digest(),
                created_at=now,
                expires_at=now + LIFETIME,
            )
            for device_id, secret in made.items()
        )
        record(
            event(
                AuditAction.SECRET_CREATED,
                now=now,
                actor=actor,
                object_name=device.serial,
                device=device,
                details={"protocol": protocol},
            )
            for device in devices
        )
    return made


def _new() -> str:
    """Return 24 random characters. The first is no minus, which shells and spreadsheets take for their own."""
    secret = secrets.token_urlsafe(18)
    while secret.startswith("-"):
        secret = secrets.token_urlsafe(18)
    return secret


def _wait_for_other_makers(device_ids: dict[int, str]) -> None:
    """Hold locks until the end of the transaction. Not on the rows of devices: enrolments take those before secrets."""
    keys = pg_arrays.integers(session_locks.key_of(f"enrolment secret of device {pk}") for pk in device_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(key) FROM (SELECT key FROM unnest(%s::bigint[]) AS key ORDER BY key) AS keys",
            [keys],
        )
