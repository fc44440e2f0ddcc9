"""The certificates the portal itself depends on, and authorities that can still issue for the full validity.

The doctor and the sweep ask here, so both know the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from inventory.alerts.conditions import Concern
from inventory.issuing.authority_lifetimes import last_full_day
from inventory.models import AlertKind, Authority, Certificate, Purpose

# Days before the end, widest first. Its own certificates are renewed by jobs, long before: who comes this near was not.
CERTIFICATE_THRESHOLDS = (5, 1, 0)
# Another authority needs a ceremony and must reach every verifier.
AUTHORITY_THRESHOLDS = (365, 180, 90, 30, 0)
KINDS = (AlertKind.OWN_EXPIRY, AlertKind.AUTHORITY_TOO_SHORT)


@dataclass(frozen=True)
class OwnCertificate:
    """The latest certificate of one purpose and name that the portal uses itself."""

    certificate: Certificate

    def reached(self, now: datetime) -> int | None:
        """Return the nearest threshold (days before its end) that it has reached, or None."""
        own = self.certificate
        thresholds = AUTHORITY_THRESHOLDS if own.purpose == Purpose.AUTHORITY else CERTIFICATE_THRESHOLDS
        return min((days for days in thresholds if own.not_after - timedelta(days=days) < now), default=None)


def certificates() -> list[OwnCertificate]:
    """Return the portal's own certificates, of each name and purpose the one that ends last. One query."""
    own = Certificate.objects.standing().filter(authority__in=Authority.objects.own()).exclude(purpose=Purpose.DEVICE)
    latest = own.order_by("subject", "purpose", "-not_after").distinct("subject", "purpose")
    return [OwnCertificate(certificate) for certificate in latest.defer("der")]


def concerns(now: datetime) -> list[Concern]:
    """Return what the inventory knows of that is near its end or too short. Two queries."""
    return [*_near_their_end(now), *_too_short(now)]


def _near_their_end(now: datetime) -> Iterator[Concern]:
    for own in certificates():
        certificate, threshold = own.certificate, own.reached(now)
        if threshold is not None:
            about = f"{certificate.purpose} {certificate.subject}"
            yield Concern(AlertKind.OWN_EXPIRY, about, certificate.not_after, threshold, certificate.pk)


def _too_short(now: datetime) -> Iterator[Concern]:
    """Name each authority that signs for a fleet and whose next certificate would be cut short, or soon be orphaned."""
    signing = Authority.objects.exclude(fleets=None).exclude(certificate=None).select_related("certificate")
    for authority in signing.defer("certificate__der").prefetch_related("fleets__profile").order_by("name"):
        assert authority.certificate is not None  # excluded above
        ends = authority.certificate.not_after
        days = [last_full_day(ends, fleet.profile) for fleet in authority.fleets.all()]
        if min(days) <= now < ends:
            yield Concern(AlertKind.AUTHORITY_TOO_SHORT, authority.name, ends, 0, authority.certificate.pk)
