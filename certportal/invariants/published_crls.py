"""The CRLs that verifiers read: whole, current, and true to the rows."""

import hashlib
from collections.abc import Iterator
from datetime import datetime

from cryptography import x509
from django.db import connection, transaction

from inventory.models import Authority
from revocation import crl_files
from revocation.models import Crl, PublicationRequest
from revocation.scopes import Scope, scopes

_REVOKED = """
    SELECT serial, not_after >= %(now)s FROM inventory_certificate
    WHERE authority_id = %(authority)s AND state = 'revoked' AND (%(shard)s::int IS NULL OR crl_shard = %(shard)s)"""


def crls_in_place_hold_what_is_revoked(now: datetime) -> Iterator[str]:
    """Each file verifies, is the latest, has not ended, and holds every revoked certificate of its scope.

    RFC 5280 3.3 keeps expired ones in it for a while; what is not revoked has no place in it at any time.
    """
    own = Authority.objects.own().filter(certificate__not_after__gt=now).select_related("certificate")
    for authority in own.order_by("slug"):
        for scope in scopes(authority):
            yield from _broken(authority, scope, now)


def _broken(authority: Authority, scope: Scope, now: datetime) -> Iterator[str]:
    with transaction.atomic():
        with connection.cursor() as cursor:
            # A publisher holds it from before its rows until its file is in place.
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [scope.lock_key])
        latest = Crl.objects.of_scope(authority.pk, scope.shard).first()
        try:
            content = crl_files.path(scope).read_bytes()
        except FileNotFoundError:
            content = b""
        # What was revoked since asks for another CRL in the same transaction.
        waits = PublicationRequest.objects.filter(authority=authority, shard=scope.shard).exists()
        revoked = _revoked(authority, scope, now)
    if latest is None or not content:
        yield f"CRL {scope} was never published, or its file is gone"
        return
    if hashlib.sha256(content).digest() != bytes(latest.sha256):
        yield f"CRL {scope}: the file in place is not number {latest.number}, the latest"
        return
    published = x509.load_der_x509_crl(content)
    if not published.is_signature_valid(authority.x509.public_key()):  # type: ignore[arg-type]  # the door made it
        yield f"CRL {scope} number {latest.number} does not verify"
    if latest.next_update <= now:
        yield f"CRL {scope} number {latest.number} ended at {latest.next_update.isoformat()}"
    listed = {entry.serial_number for entry in published}
    missing = {serial for serial, lives in revoked.items() if lives} - listed
    if missing and not waits:
        yield from (f"CRL {scope} lacks the revoked certificate {serial:x}" for serial in sorted(missing))
    strange = listed - revoked.keys()
    yield from (f"CRL {scope} holds {serial:x}, which is not revoked" for serial in sorted(strange))


def _revoked(authority: Authority, scope: Scope, now: datetime) -> dict[int, bool]:
    """Return the serial numbers that are revoked, each with whether its certificate has not ended."""
    with connection.cursor() as cursor:
        cursor.execute(_REVOKED, {"authority": authority.pk, "shard": scope.shard, "now": now})
        return {int(serial, 16): lives for serial, lives in cursor.fetchall()}
