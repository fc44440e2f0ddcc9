"""Whether a published CRL names a serial number, from its own bytes, and if it does not, why.

What the rows say today is no answer: a verifier reads the file. Only the file in place is kept, so only the CRL that is
served can be asked. It costs memory of its size, once, and time to read it: of a million entries 53 MB, half a second.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from hashlib import sha256

from django.conf import settings

from inventory.models import Certificate, CertificateState, FleetIds
from revocation import crl, crl_files
from revocation.crl import Entry
from revocation.models import Crl, PublicationRequest
from revocation.scopes import Scope

# Authorities draw numbers by chance: more than one certificate of a number is an attempt to deceive.
_OF_ONE_NUMBER = 20


class Absence(Enum):
    """Why a CRL does not name a certificate: the first that applies."""

    NOT_HERE = auto()  # no certificate that may be seen has the number
    OTHER_AUTHORITY = auto()
    OTHER_SHARD = auto()
    NOT_REVOKED = auto()
    ENDED_BEFORE = auto()  # RFC 5280 3.3: it was in a CRL issued beyond its end, and left
    TOO_LATE = auto()  # it was revoked after the CRL was made; the next one names it


@dataclass(frozen=True)
class Answer:
    """`entry` is what the CRL says; without one `absence` is why. `certificate` None: none that may be seen."""

    entry: Entry | None
    absence: Absence | None
    certificate: Certificate | None
    elsewhere: Crl | None = None
    """The latest CRL of the scope that the certificate belongs to, if that is another and has one."""


def ask(row: Crl, forms: Collection[str], fleets: FleetIds = None) -> Answer | None:
    """Ask a CRL for a serial number that may be written in these `forms` (as `Certificate.serial` keeps them).

    None: its bytes are not in place any more, or not yet. At most four queries.
    """
    encoded = _bytes(row)
    if encoded is None:
        return None
    entry = crl.find(encoded, [int(form, 16) for form in forms])
    named = forms if entry is None else [f"{entry.serial:x}"]
    certificate = _certificate(row, named, fleets)
    if entry is not None:
        of_it = certificate if certificate and certificate.authority_id == row.authority_id else None
        return Answer(entry, None, of_it)
    absence = _absence(row, certificate)
    moved = absence in {Absence.OTHER_AUTHORITY, Absence.OTHER_SHARD}
    return Answer(None, absence, certificate, _latest_of(certificate, fleets) if moved and certificate else None)


def _bytes(row: Crl) -> bytes | None:
    """Return the CRL itself, byte for byte as its row describes it."""
    stream = crl_files.opened(scope_of(row), row.number)
    if stream is None:
        return None
    with stream:
        encoded = stream.read()
    return encoded if sha256(encoded).digest() == bytes(row.sha256) else None


def scope_of(row: Crl) -> Scope:
    return Scope(row.authority.slug, row.shard)


def _certificate(row: Crl, forms: Collection[str], fleets: FleetIds) -> Certificate | None:
    """Return the certificate of this number, rather one of the CRL's own authority: others may use it as well."""
    found = Certificate.objects.of_fleets(fleets).filter(serial__in=forms).defer("der")
    certificates = found.select_related("device", "authority").with_issuer().order_by("pk")[:_OF_ONE_NUMBER]
    return min(certificates, key=lambda each: each.authority_id != row.authority_id, default=None)


def _absence(row: Crl, certificate: Certificate | None) -> Absence:
    if certificate is None:
        return Absence.NOT_HERE
    if certificate.authority_id != row.authority_id:
        return Absence.OTHER_AUTHORITY
    if row.shard not in (None, certificate.crl_shard):
        return Absence.OTHER_SHARD
    if certificate.state != CertificateState.REVOKED or certificate.revoked_at is None:
        return Absence.NOT_REVOKED
    # The opposite of what the next publication reads.
    ended_before = max(certificate.not_after, certificate.revoked_at) < row.this_update
    return Absence.ENDED_BEFORE if ended_before else Absence.TOO_LATE


def _latest_of(certificate: Certificate, fleets: FleetIds) -> Crl | None:
    latest = Crl.objects.of_fleets(fleets).of_scope(certificate.authority_id, certificate.crl_shard)
    return latest.select_related("authority").first()


def next_publication(row: Crl, now: datetime) -> datetime | None:
    """Return when the scope of its latest CRL, `row`, is published again: `now` when a revocation waits for it.

    None: never, as its authority has ended, cannot sign here, or has fewer shards now. At most two queries.
    """
    authority = row.authority
    if authority.key_name is None or authority.certificate is None or authority.certificate.not_after < now:
        return None
    if row.shard is not None and row.shard >= authority.crl_shards:
        return None
    waiting = PublicationRequest.objects.filter(authority=authority, shard=row.shard).exists()
    return now if waiting else max(now, row.published_at + settings.CRL_INTERVAL)
