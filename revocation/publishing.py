"""Publishing CRLs: rows become a signed file that verifiers fetch.

One publication, under a lock that this scope's other publishers wait for:

1. delete the requests for this scope that can be seen, then read the revoked certificates: a revocation commits with
   its request, so what is deleted is read, and what commits later keeps its request;
2. sign them under a number above every earlier one, in the rows and in the file in place;
3. write the draft beside the file in place, synced to disk;
4. commit the row, the audit event and the deletion;
5. rename the draft to its place.

A crash before 4 leaves neither row nor file: the number comes again, but its first bytes were never served. A crash
between 4 and 5 leaves a row whose file was never served: the older file, which has its row, stays in place, and
`is_due` sees that its number is not the latest, so the CRL is published again under the next number. So no file is
served without its row, and no number is served with two contents. A database restored from a backup is behind the
file: the number goes on above the file's.
"""

from datetime import datetime
from hashlib import sha256

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from inventory import session_locks
from inventory.audit.record import SYSTEM, Actor, event, record
from inventory.issuing.keys.store import signing_key
from inventory.models import AuditAction, Authority, Certificate
from revocation import crl, crl_files
from revocation.models import Crl, PublicationRequest
from revocation.scopes import Scope


def publish(authority: Authority, shard: int | None, now: datetime, *, actor: Actor = SYSTEM) -> Crl:
    """Publish the CRL of one shard, or with `shard` None the complete one, and return its row.

    What was served before stays in place whenever this raises: KeyUnavailable, OSError, or an error of the database.
    """
    scope = Scope(authority.slug, shard)
    with session_locks.held(scope.lock_key, wait=True):
        return _publish(authority, scope, now, actor)


def publish_if_due(authority: Authority, shard: int | None, now: datetime) -> Crl | None:
    """Publish like `publish`, unless another publisher was faster; then return None."""
    scope = Scope(authority.slug, shard)
    with session_locks.held(scope.lock_key, wait=True):
        return _publish(authority, scope, now, SYSTEM) if _is_due(authority, scope, now) else None


def is_due(
    scope: Scope, *, waiting: bool, latest_number: int | None, latest_published_at: datetime | None, now: datetime
) -> bool:
    """Whether `scope` needs a new CRL: a revocation is pending, the interval is over, or an older file is served."""
    if waiting or latest_published_at is None or latest_published_at <= now - settings.CRL_INTERVAL:
        return True
    served = crl_files.served_head(scope)
    return served is None or served.number != latest_number


def _is_due(authority: Authority, scope: Scope, now: datetime) -> bool:
    latest = Crl.objects.of_scope(authority.pk, scope.shard).first()
    return is_due(
        scope,
        waiting=PublicationRequest.objects.filter(authority=authority, shard=scope.shard).exists(),
        latest_number=latest.number if latest else None,
        latest_published_at=latest.published_at if latest else None,
        now=now,
    )


def _publish(authority: Authority, scope: Scope, now: datetime, actor: Actor) -> Crl:
    served = crl_files.served_head(scope)
    with transaction.atomic(durable=True):
        PublicationRequest.objects.filter(authority=authority, shard=scope.shard).delete()
        latest = Crl.objects.of_scope(authority.pk, scope.shard).first()
        this_update = now.replace(microsecond=0) - settings.THIS_UPDATE_BACKDATE
        entries = _entries(authority, scope.shard, served, this_update)
        row = Crl(
            authority=authority,
            shard=scope.shard,
            number=1 + max(latest.number if latest else 0, served.number if served else 0),
            published_at=now,
            this_update=this_update,
            next_update=now.replace(microsecond=0) + settings.CRL_LIFETIME,
            entries=len(entries),
        )
        encoded = crl.build(
            entries,
            issuer=authority.x509,
            key=signing_key(authority.key_name),
            number=row.number,
            this_update=row.this_update,
            next_update=row.next_update,
            distribution_point=scope.distribution_point,
        )
        row.size, row.sha256 = len(encoded), sha256(encoded).digest()
        crl_files.write_draft(scope, encoded)
        row.save(force_insert=True)
        _record(row, scope, now, actor)
    crl_files.put_draft_in_place(scope)
    return row


def _entries(authority: Authority, shard: int | None, served: crl.Head | None, this_update: datetime) -> list[bytes]:
    """Return the entries of the next CRL. No revocationDate is after `this_update`, which is back-dated.

    RFC 5280 3.3: an entry stays until it was in a CRL issued beyond the certificate's validity. The file in place
    proves what was issued; without one, everything stays.
    """
    revoked = Certificate.objects.revoked().filter(authority=authority)
    if shard is not None:
        revoked = revoked.filter(crl_shard=shard)
    if served is not None:
        seen_at = min(served.this_update, this_update)
        revoked = revoked.filter(Q(not_after__gte=seen_at) | Q(revoked_at__gte=seen_at))
    rows = revoked.values_list("serial", "revoked_at", "revocation_reason").iterator(chunk_size=10_000)
    return [
        crl.entry(int(serial, 16), min(revoked_at, this_update), reason)
        for serial, revoked_at, reason in rows
        if revoked_at is not None
    ]


def _record(row: Crl, scope: Scope, now: datetime, actor: Actor) -> None:
    details = {
        "number": row.number,
        "entries": row.entries,
        "size": row.size,
        "sha256": row.sha256.hex(),
        "next_update": row.next_update.isoformat(),
    }
    record([event(AuditAction.CRL_PUBLISHED, now=now, actor=actor, object_name=f"{scope}.crl", details=details)])
