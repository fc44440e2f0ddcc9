"""Making one-time enrolment secrets."""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import transaction

from inventory.audit.record import Actor, event, record
from inventory.models import AuditAction, Device
from renewal.models import EnrolmentProtocol, EnrolmentSecret

LIFETIME = timedelta(days=30)


def create(device: Device, protocol: EnrolmentProtocol, *, now: datetime, actor: Actor) -> str:
    """Make a secret for `device` and return it. It is stored hashed: nobody can read it again.

    Unspent secrets of the same device and protocol end by this: there is one way in at a time.
    """
    secret = secrets.token_urlsafe(18)
    with transaction.atomic():
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
