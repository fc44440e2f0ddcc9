"""Orders to revoke: one certificate, or a set of them.

What an order commits is true at once for OCSP and for the gate, which read the same rows. The CRLs follow: the order
leaves a request for each scope in the same transaction, and wakes a worker for the shard after the commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from inventory.audit.record import Actor, event, record
from inventory.models import (
    AuditAction,
    Authority,
    Batch,
    Certificate,
    CertificateState,
    Device,
    RevocationReason,
)
from inventory.models.certificate import COMPROMISES, CertificateQuerySet
from revocation.compromised_keys import propose_others
from revocation.models import PublicationRequest
from revocation.queueing import URGENT, enqueue_publication
from revocation.scopes import Scope

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# Small enough for its locks to be held for well under a second.
BATCH_SIZE = 5000


@dataclass(frozen=True)
class Order:
    """Why certificates are revoked, and by whom. `note` is free text for the audit log."""

    reason: RevocationReason
    actor: Actor
    note: str = ""


@dataclass(frozen=True)
class Revoked:
    at: datetime
    reason: RevocationReason


@dataclass(frozen=True)
class AlreadyRevoked:
    """It was revoked before; nothing changed. `at` and `reason` are those of then."""

    at: datetime
    reason: RevocationReason


@dataclass(frozen=True)
class CannotRevoke:
    text: "StrOrPromise"


def revoke(certificate: Certificate, order: Order, now: datetime) -> Revoked | AlreadyRevoked | CannotRevoke:
    """Revoke one certificate, once: of two orders at the same time, the second finds it revoked."""
    if certificate.pk == certificate.authority.certificate_id:
        return CannotRevoke(
            _("A root cannot be revoked: it is trusted because it is configured. Remove it from the trust stores.")
        )
    if certificate.authority.is_external:
        return CannotRevoke(
            _("%(authority)s signed it, which is no authority of this portal: revoke it there, then import it again.")
            % {"authority": certificate.authority}
        )
    with transaction.atomic():
        if _set_revoked([certificate.pk], order, now):
            _tell([certificate], order, now)
            return Revoked(now, order.reason)
    earlier = Certificate.objects.revoked().only("revoked_at", "revocation_reason").get(pk=certificate.pk)
    assert earlier.revoked_at is not None  # by constraint
    return AlreadyRevoked(earlier.revoked_at, RevocationReason(earlier.revocation_reason))


@dataclass(frozen=True)
class RevocationCount:
    revoked: int
    already_revoked: int


def revoke_many(
    certificates: CertificateQuerySet, order: Order, now: datetime, *, batch_size: int = BATCH_SIZE
) -> RevocationCount:
    """Revoke all of `certificates`, `batch_size` in a transaction, until a look finds no other.

    The last look matters: a renewal that was under way held its certificate locked, and its successor appears only
    once the lock was had. Safe to run again after a crash. Roots are passed over, and what external authorities signed.
    """
    already_revoked = certificates.revoked().count()
    revoked = 0
    while count := _revoke_batch(certificates, order, now, batch_size):
        revoked += count
    return RevocationCount(revoked, already_revoked)


def unexpired_of_device(device: Device, now: datetime) -> CertificateQuerySet:
    return Certificate.objects.filter(device=device, not_after__gte=now)


def unexpired_of_batch(batch: Batch, now: datetime) -> CertificateQuerySet:
    return Certificate.objects.filter(device__batch=batch, not_after__gte=now)


def unexpired_below(authority: Authority, now: datetime) -> CertificateQuerySet:
    """What nobody trusts any more once `authority` is revoked: all that it and the authorities below it signed."""
    below, found = [authority.pk], [authority.pk]
    while below:
        below = list(Authority.objects.filter(parent__in=below).values_list("pk", flat=True))
        found += below
    return Certificate.objects.filter(authority__in=found, not_after__gte=now)


def _revoke_batch(certificates: CertificateQuerySet, order: Order, now: datetime, size: int) -> int:
    with transaction.atomic():
        batch = list(
            certificates.exclude(state=CertificateState.REVOKED)
            .exclude(authority__key_name=None)
            .exclude(pk=F("authority__certificate"))
            .select_related("authority", "device")
            .defer("der")
            # From new to old, as sightings lock them.
            .order_by("-pk")
            .select_for_update(of=("self",), no_key=True)[:size]
        )
        if batch:
            _set_revoked([certificate.pk for certificate in batch], order, now)
            _tell(batch, order, now)
    return len(batch)


def _set_revoked(keys: Sequence[int], order: Order, now: datetime) -> int:
    standing = Certificate.objects.filter(pk__in=keys).exclude(state=CertificateState.REVOKED)
    return standing.update(state=CertificateState.REVOKED, revoked_at=now, revocation_reason=order.reason)


def _tell(certificates: Sequence[Certificate], order: Order, now: datetime) -> None:
    """Audit the revocations, ask for their CRLs, and wake a worker for the shards; the complete ones come by sweep."""
    details = {"reason": order.reason.value} | ({"note": order.note} if order.note else {})
    record(
        event(
            AuditAction.CERTIFICATE_REVOKED,
            now=now,
            actor=order.actor,
            object_name=certificate.subject,
            device=certificate.device,
            certificate=certificate,
            details={"serial": certificate.serial, "issuer": certificate.authority.slug, **details},
        )
        for certificate in certificates
    )
    if order.reason in COMPROMISES:
        propose_others(certificates, now=now, actor=order.actor)
    shards = {(certificate.authority, certificate.crl_shard) for certificate in certificates}
    wanted = shards | {(authority, None) for authority, _shard in shards}
    PublicationRequest.objects.bulk_create(
        PublicationRequest(authority=authority, shard=shard, requested_at=now) for authority, shard in wanted
    )
    for authority, shard in shards:
        _wake_worker_after_commit(Scope(authority.slug, shard))


def _wake_worker_after_commit(scope: Scope) -> None:
    def wake_worker() -> None:
        enqueue_publication(scope, URGENT)

    # Robust: the revocation stands, whether or not the queue can be reached.
    transaction.on_commit(wake_worker, robust=True)
