"""Orders to revoke: one certificate, or a set of them.

What an order commits is true at once for OCSP and for the gate, which read the same rows. The CRLs follow: the order
leaves a request for each scope in the same transaction, and wakes a worker for the shard after the commit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.audit.record import Actor, event, record
from inventory.models import (
    AuditAction,
    AuditEvent,
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
class Raised:
    """It was revoked before for a lesser `reason_before`; now the key is known to be compromised. `at` stays."""

    at: datetime
    reason_before: RevocationReason


@dataclass(frozen=True)
class AlreadyRevoked:
    """It was revoked before; nothing changed. `at` and `reason` are those of then."""

    at: datetime
    reason: RevocationReason


@dataclass(frozen=True)
class CannotRevoke:
    text: "StrOrPromise"


def revoke(certificate: Certificate, order: Order, now: datetime) -> Revoked | Raised | AlreadyRevoked | CannotRevoke:
    """Revoke one certificate, once: of two orders at the same time, the second finds it revoked.

    A compromise that becomes known later raises the reason and leaves the date: verifiers refuse it since then.
    """
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
            _record_revoked([certificate], order, now)
            _follow_up([certificate], order, now)
            return Revoked(now, order.reason)
        facts = (
            Certificate.objects.revoked().select_for_update(no_key=True).values_list("revoked_at", "revocation_reason")
        )
        revoked_at, reason = facts.get(pk=certificate.pk)
        assert revoked_at is not None  # by constraint
        before = RevocationReason(reason)
        if order.reason not in COMPROMISES or before in COMPROMISES:
            return AlreadyRevoked(revoked_at, before)
        _raise_reason([(certificate, before)], order, now)
        _follow_up([certificate], order, now)
        return Raised(revoked_at, before)


@dataclass(frozen=True)
class RevocationCount:
    """`raised`: were revoked before, for less than the compromise that is known now."""

    revoked: int
    already_revoked: int
    raised: int = 0


def revoke_many(
    certificates: CertificateQuerySet, order: Order, now: datetime, *, batch_size: int = BATCH_SIZE
) -> RevocationCount:
    """Revoke all of `certificates`, `batch_size` in a transaction, by key, until a walk through them finds no other.

    The last walk matters: a renewal that was under way held its certificate locked, and its successor appears only
    once the lock was had. Safe to run again after a crash. Roots are passed over, and what external authorities signed.
    As with one certificate, a compromise raises the reason of those that were revoked for less.
    """
    already_revoked = certificates.revoked().count()
    revoked = raised = 0
    found = True
    while found:
        found, below = False, None
        while batch := _revoke_batch(certificates, order, now, batch_size, below):
            found, below = True, batch.lowest
            revoked, raised = revoked + batch.revoked, raised + batch.raised
            if batch.size < batch_size:
                break
    return RevocationCount(revoked, already_revoked - raised, raised)


def unexpired_of_device(device: Device, now: datetime) -> CertificateQuerySet:
    return Certificate.objects.filter(device=device, not_after__gte=now)


def unexpired_of_batch(batch: Batch, now: datetime) -> CertificateQuerySet:
    return Certificate.objects.filter(device__batch=batch, not_after__gte=now)


def unexpired_below(authority: Authority, now: datetime) -> CertificateQuerySet:
    """Return the unexpired certificates below `authority`, at any depth: nobody trusts them once it is revoked."""
    below, found = [authority.pk], [authority.pk]
    while below:
        below = list(Authority.objects.filter(parent__in=below).values_list("pk", flat=True))
        found += below
    return Certificate.objects.filter(authority__in=found, not_after__gte=now)


@dataclass(frozen=True)
class _Batch:
    revoked: int
    raised: int
    # The least key of its certificates.
    lowest: int

    @property
    def size(self) -> int:
        return self.revoked + self.raised


def _revoke_batch(
    certificates: CertificateQuerySet, order: Order, now: datetime, size: int, below: int | None
) -> _Batch | None:
    """Revoke up to `size` certificates with keys below `below`, or of the highest; None when there are none."""
    if below is not None:
        certificates = certificates.filter(pk__lt=below)
    with transaction.atomic():
        batch = list(
            certificates.filter(_changed_by(order))
            .exclude(authority__key_name=None)
            .exclude(pk=F("authority__certificate"))
            .select_related("authority", "device")
            .defer("der")
            # From new to old, as sightings lock them.
            .order_by("-pk")
            .select_for_update(of=("self",), no_key=True)[:size]
        )
        if not batch:
            return None
        fresh = [certificate for certificate in batch if certificate.state != CertificateState.REVOKED]
        raised = [
            (certificate, RevocationReason(certificate.revocation_reason))
            for certificate in batch
            if certificate.state == CertificateState.REVOKED
        ]
        if fresh:
            _set_revoked([certificate.pk for certificate in fresh], order, now)
            _record_revoked(fresh, order, now)
        if raised:
            _raise_reason(raised, order, now)
        _follow_up(batch, order, now)
    return _Batch(len(fresh), len(raised), batch[-1].pk)


def _changed_by(order: Order) -> Q:
    """Which certificates `order` would change."""
    unrevoked = ~Q(state=CertificateState.REVOKED)
    return unrevoked | ~Q(revocation_reason__in=COMPROMISES) if order.reason in COMPROMISES else unrevoked


def _set_revoked(keys: Sequence[int], order: Order, now: datetime) -> int:
    standing = Certificate.objects.filter(pk__in=keys).exclude(state=CertificateState.REVOKED)
    return standing.update(state=CertificateState.REVOKED, revoked_at=now, revocation_reason=order.reason)


def _raise_reason(raised: Sequence[tuple[Certificate, RevocationReason]], order: Order, now: datetime) -> None:
    """Raise the reason of locked, revoked certificates, each with its reason so far. Their dates stay."""
    keys = [certificate.pk for certificate, _before in raised]
    Certificate.objects.filter(pk__in=keys).update(revocation_reason=order.reason)
    record(
        _event(AuditAction.REVOCATION_RAISED, certificate, order, now, {"reason_before": before.value})
        for certificate, before in raised
    )


def _record_revoked(certificates: Iterable[Certificate], order: Order, now: datetime) -> None:
    record(_event(AuditAction.CERTIFICATE_REVOKED, certificate, order, now, {}) for certificate in certificates)


def _event(
    action: AuditAction, certificate: Certificate, order: Order, now: datetime, details: dict[str, str]
) -> AuditEvent:
    note = {"note": order.note} if order.note else {}
    return event(
        action,
        now=now,
        actor=order.actor,
        object_name=certificate.subject,
        device=certificate.device,
        certificate=certificate,
        details={
            "serial": certificate.serial,
            "issuer": certificate.authority.slug,
            "reason": order.reason.value,
            **details,
            **note,
        },
    )


def _follow_up(certificates: Sequence[Certificate], order: Order, now: datetime) -> None:
    """Propose what else carries a compromised key, and ask for the CRLs."""
    if order.reason in COMPROMISES:
        propose_others(certificates, now=now, actor=order.actor)
    _request_crls(certificates, now)


def _request_crls(certificates: Iterable[Certificate], now: datetime) -> None:
    """Ask for the CRLs of `certificates`, and wake a worker for the shards; the complete ones come by sweep."""
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
