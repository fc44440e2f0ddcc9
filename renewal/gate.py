"""The gate: decides whether a device may have a certificate. Every way in asks here, and only here.

The gate reads the rows it decides on under a lock that a revocation must wait for, so what it admits is still true when
the certificate is committed. It changes nothing; `enrolling` puts gate and door into one transaction.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Subquery

from inventory.audit.record import Actor
from inventory.issuing import Admission
from inventory.lifetimes import renewal_opens
from inventory.models import Certificate, CertificateState, Device, DeviceStatus, Purpose
from inventory.models.audit import ActorKind
from inventory.models.certificate import LIVE_STATES
from inventory.x509.csr import CertificationRequest
from renewal.models import EnrolmentSecret
from renewal.refusals import Refusal, RefusalCode, day

_ISSUER = "device__fleet__authority__certificate"
_DEVICE_RELATIONS = ("device__fleet__profile", _ISSUER, "device__batch", "device__site")


@dataclass(frozen=True)
class AlreadyIssued:
    """The same request was answered before: the answer is the same certificate."""

    certificate: Certificate


def find_client_certificate(sha256: bytes, request: CertificationRequest) -> Certificate | None:
    """Return the device certificate whose bytes hash to `sha256`, locked, with all that the gate decides on.

    The whole certificate is compared, not its serial or subject: a look-alike from elsewhere is not in the inventory.
    Call it in a transaction. One query.
    """
    same_key = Certificate.objects.filter(spki_sha256=request.spki_sha256)
    return (
        Certificate.objects.filter(sha256=sha256, purpose=Purpose.DEVICE, device__isnull=False)
        .select_related(*_DEVICE_RELATIONS, "authority__certificate")
        .annotate(
            answered_by=Subquery(
                same_key.filter(predecessor=OuterRef("pk"), state__in=LIVE_STATES).values("pk")[:1]
            ),
            key_seen_before=Exists(same_key.exclude(pk=OuterRef("pk"))),
        )
        .select_for_update(of=("self",), no_key=True)
        .first()
    )


def admit_renewal(
    current: Certificate, request: CertificationRequest, *, label: str | None, now: datetime, actor: Actor
) -> Admission | AlreadyIssued | Refusal:
    """Decide on the renewal of `current` (from `find_client_certificate`) for the key in `request`."""
    device = _device(current)
    refusal = (
        _refuse_certificate(current, now)
        or _refuse_device(device)
        or _refuse_label(device, label)
        or _refuse_name(current, request)
    )
    if refusal:
        return refusal
    if current.answered_by is not None:  # type: ignore[attr-defined]
        return AlreadyIssued(Certificate.objects.get(pk=current.answered_by))  # type: ignore[attr-defined]
    profile = device.fleet.profile
    refusal = _refuse_early(current, profile.renewal_window, now) or _refuse_key(current, device, request)
    if refusal:
        return refusal
    return Admission(
        device=device,
        profile=profile,
        authority=device.fleet.authority,
        request=request,
        actor=actor,
        predecessor=current,
    )
