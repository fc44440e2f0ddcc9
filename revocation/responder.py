"""The OCSP responder: rows become a signed answer, in one query for all certificates of a request."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import Value

from inventory.models import Authority, Certificate, RevocationReason
from inventory.models.authority import RevocationAbove, RevokedAbove
from inventory.models.certificate import COMPROMISES
from revocation import ocsp, signers

# How long a process goes on with what it loaded: a new signer is there a week before the old one ends.
_RELOAD_AFTER = timedelta(minutes=1)


class UnknownAuthority(LookupError):
    """No established authority has this slug."""


@dataclass(frozen=True)
class Answer:
    """The status of each certificate, to be signed. `cacheable`: the signed answer may be reused."""

    statuses: Sequence[tuple[ocsp.CertificateId, ocsp.Status]]
    signer: ocsp.Signer
    dates: ocsp.Dates
    nonce: bytes | None
    cacheable: bool

    @property
    def etag(self) -> str:
        """Unchanged while the content is. Weak (RFC 9110 8.8.1), since each signature differs."""
        said = [(asked.encoded, status) for asked, status in self.statuses]
        facts = repr((said, self.dates.this_update, self.dates.next_update, self.signer.certificate.serial_number))
        return f'W/"{hashlib.sha256(facts.encode()).hexdigest()}"'

    def encoded(self) -> bytes:
        """Return it signed, in DER."""
        return ocsp.build(self.statuses, signer=self.signer, dates=self.dates, nonce=self.nonce)


@dataclass(frozen=True)
class Refusal:
    """No answer about a certificate; `text` is for the log."""

    status: ocsp.ResponseStatus
    text: str


@dataclass(frozen=True)
class Responder:
    """Answers for one authority."""

    authority_id: int
    identity: ocsp.IssuerIdentity
    signer: ocsp.Signer
    loaded_at: datetime

    def answer(self, request: ocsp.Request, now: datetime) -> Answer | Refusal:
        """Answer `request`. One query, however many certificates it asks about."""
        ours = [self.identity.issued(asked) for asked in request.certificate_ids]
        if not any(ours):
            return Refusal(ocsp.ResponseStatus.UNAUTHORIZED, "The certificates asked about have another issuer.")
        found = self._find([asked.serial for asked in request.certificate_ids])
        dates = self._dates(now)
        statuses = [
            (
                asked,
                _not_after(found.get(asked.serial, ocsp.Unknown()), dates.this_update) if is_ours else ocsp.Unknown(),
            )
            for asked, is_ours in zip(request.certificate_ids, ours, strict=True)
        ]
        # An unknown serial number may be issued in a moment.
        cacheable = request.nonce is None and all(not isinstance(status, ocsp.Unknown) for _, status in statuses)
        return Answer(statuses, self.signer, dates, request.nonce, cacheable)

    def _dates(self, now: datetime) -> ocsp.Dates:
        """Return dates that stay the same for an hour or so: an answer changes when a status does, and then at once."""
        step = min(settings.CRL_INTERVAL, settings.OCSP_LIFETIME / 2)
        since = now - (now - datetime.min.replace(tzinfo=UTC)) % step
        return ocsp.Dates(
            produced_at=now,
            this_update=since - settings.THIS_UPDATE_BACKDATE,
            next_update=min(since + settings.OCSP_LIFETIME, self.signer.certificate.not_valid_after_utc),
        )

    def _find(self, serials: list[int]) -> dict[int, ocsp.Status]:
        """Return the status of those `serials` that were issued. A serial never issued is never good."""
        asked = Certificate.objects.filter(
            authority_id=self.authority_id, serial__in=[f"{serial:x}" for serial in serials]
        ).annotate(revoked_above=RevokedAbove(Value(self.authority_id)))
        rows = asked.values_list("serial", "revoked_at", "revocation_reason", "revoked_above")
        return {
            int(serial, 16): _status(revoked_at, reason, RevocationAbove.read(above))
            for serial, revoked_at, reason, above in rows
        }


def _status(revoked_at: datetime | None, reason: str, above: RevocationAbove | None) -> ocsp.Status:
    if revoked_at:
        return ocsp.Revoked(revoked_at, reason)
    if above:
        # RFC 5280 5.3.1: a compromised issuer's key is a cACompromise for what it signed.
        inherited = RevocationReason.CA_COMPROMISE.value if above.reason in COMPROMISES else above.reason
        return ocsp.Revoked(above.at, inherited)
    return ocsp.Good()


def _not_after(status: ocsp.Status, this_update: datetime) -> ocsp.Status:
    """Return `status` with no revocationTime after the back-dated `this_update`: verifiers refuse such an answer."""
    if isinstance(status, ocsp.Revoked) and status.at > this_update:
        return ocsp.Revoked(this_update, status.reason)
    return status


class Responders:
    """The responders of one process, loaded when first asked for and again every minute."""

    def __init__(self) -> None:
        self._loaded: dict[str, Responder] = {}

    def forget(self) -> None:
        """Drop everything from memory, as in a new process."""
        self._loaded.clear()

    def of(self, slug: str, now: datetime) -> Responder:
        """Return the responder of authority `slug`, from memory if it is fresh.

        Raises UnknownAuthority or SignerUnavailable.
        """
        known = self._loaded.get(slug)
        if known is None or not known.loaded_at <= now < known.loaded_at + _RELOAD_AFTER:
            # No lock: two loads at once cost two queries more, and one that hangs must not hold up all others.
            known = self._loaded[slug] = _load(slug, now)
        return known


def _load(slug: str, now: datetime) -> Responder:
    own = Authority.objects.own().filter(certificate__isnull=False)
    authority = own.select_related("certificate").filter(slug=slug).first()
    if authority is None:
        raise UnknownAuthority(f"There is no authority {slug}.")
    return Responder(
        authority_id=authority.pk,
        identity=ocsp.IssuerIdentity(authority.x509),
        signer=signers.load(authority.pk, now),
        loaded_at=now,
    )
