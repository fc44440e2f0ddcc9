"""The one word that says how a certificate stands at a moment, and which of a device's certificates counts."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

from inventory.models import Certificate, CertificateState
from inventory.models.certificate import LIVE_STATES, CertificateQuerySet

# A certificate that ends within this span is shown as expiring.
EXPIRING_SPAN = timedelta(days=90)


class Standing(models.TextChoices):
    """Derived from recorded facts and the time. The first that applies, in the order of `standing_of`."""

    REVOKED = "revoked", _("revoked")
    SUPERSEDED = "superseded", _("superseded")
    EXPIRED = "expired", _("expired")
    NOT_YET_VALID = "not_yet_valid", _("not yet valid")
    UNCONFIRMED = "unconfirmed", _("unconfirmed")
    EXPIRING = "expiring", _("expiring")
    VALID = "valid", _("valid")


def standing_of(certificate: Certificate, now: datetime) -> Standing:
    """Return the word for one certificate. Nothing but its own row is read."""
    if certificate.state == CertificateState.REVOKED:
        return Standing.REVOKED
    if certificate.state == CertificateState.SUPERSEDED:
        return Standing.SUPERSEDED
    if certificate.not_after < now:
        return Standing.EXPIRED
    if certificate.not_before > now:
        return Standing.NOT_YET_VALID
    if certificate.state == CertificateState.ISSUED and certificate.predecessor_id is not None:
        return Standing.UNCONFIRMED
    if certificate.not_after < now + EXPIRING_SPAN:
        return Standing.EXPIRING
    return Standing.VALID


def with_standing(certificates: CertificateQuerySet, standing: str, now: datetime) -> CertificateQuerySet:
    """Return the certificates that a list filtered by `standing` holds.

    `valid` holds every certificate that a verifier accepts now, so the expiring and the unconfirmed too; `standing`
    is no word of one certificate but asks for all that devices stand on.
    """
    questions: dict[str, Callable[[], CertificateQuerySet]] = {
        "standing": certificates.standing,
        Standing.VALID: lambda: certificates.valid(now),
        Standing.EXPIRING: lambda: certificates.expiring_within(EXPIRING_SPAN, now),
        Standing.UNCONFIRMED: lambda: certificates.unconfirmed(now),
        Standing.EXPIRED: lambda: certificates.expired(now),
        Standing.NOT_YET_VALID: lambda: certificates.standing().filter(not_before__gt=now),
        Standing.REVOKED: certificates.revoked,
        Standing.SUPERSEDED: lambda: certificates.filter(state=CertificateState.SUPERSEDED),
    }
    return questions[standing]()


def current(certificates: Iterable[Certificate], now: datetime) -> Certificate | None:
    """Return the certificate that a device stands on: one accepted now before an ended one, used before unused."""

    def rank(certificate: Certificate) -> tuple[bool, bool, bool, datetime]:
        live = certificate.state in LIVE_STATES
        accepted = live and certificate.not_before <= now <= certificate.not_after
        return accepted, live, certificate.state == CertificateState.CONFIRMED, certificate.not_after

    return max(certificates, key=rank, default=None)
