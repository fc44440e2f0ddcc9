"""Proof of life: a device authenticated with a certificate, so it holds the key and can use it."""

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from inventory.audit.record import Actor, event, record
from inventory.models import AuditAction, Certificate, CertificateState, Device
from inventory.models.certificate import LIVE_STATES


def find_usable(sha256: bytes, now: datetime) -> Certificate | None:
    """Return the device certificate with this fingerprint if it can authenticate its device at `now`. One query.

    One that an external authority signed cannot: nobody here answers for it.
    """
    return (
        Certificate.objects.of_devices()
        .valid(now)
        .filter(sha256=sha256, authority__key_name__isnull=False)
        .exclude(authority__certificate__state=CertificateState.REVOKED)
        .select_related("device")
        .first()
    )


def record_sighting(certificate: Certificate, device: Device, *, now: datetime, actor: Actor) -> bool:
    """Note that `certificate` of `device` was used at `now`. Return whether this was its first use.

    The first use confirms a certificate and supersedes the older ones of its device: until then the device may depend
    on them. A sighting older than the one we know changes nothing. One statement, three more on first use.
    """
    with transaction.atomic(savepoint=False):
        # Certificates first, newest to oldest, then the device: the order in which the gate locks them. In the other
        # order a device that uses its new certificate and renews by its old one at once would be a deadlock.
        confirmed = certificate.state == CertificateState.ISSUED and _confirm(certificate, device, now=now, actor=actor)
        Device.objects.filter(Q(last_seen_at__lt=now) | Q(last_seen_at=None), pk=device.pk).update(last_seen_at=now)
        return confirmed


def _confirm(certificate: Certificate, device: Device, *, now: datetime, actor: Actor) -> bool:
    # The condition makes the first of two simultaneous uses the only one that counts.
    confirmed = Certificate.objects.filter(pk=certificate.pk, state=CertificateState.ISSUED).update(
        state=CertificateState.CONFIRMED, activated_at=now
    )
    if not confirmed:
        return False
    superseded = Certificate.objects.filter(device=device, state__in=LIVE_STATES, pk__lt=certificate.pk).update(
        state=CertificateState.SUPERSEDED, successor=certificate
    )
    record(
        [
            event(
                AuditAction.CERTIFICATE_CONFIRMED,
                now=now,
                actor=actor,
                object_name=certificate.subject,
                device=device,
                certificate=certificate,
                details={"serial": certificate.serial, "superseded": superseded},
            )
        ]
    )
    return True
