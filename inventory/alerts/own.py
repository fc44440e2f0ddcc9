"""What the portal needs for itself and must not lose: its certificates, and authorities that can still sign in full.

The doctor and the sweep ask here, so both know the same. What lies above this package (CRLs) is told from there by
`report`.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from inventory.models import (
    Alert,
    AlertKind,
    AlertPolicy,
    AppliesTo,
    Authority,
    Certificate,
    Purpose,
    Resolution,
    Urgency,
)
from inventory.succession import last_full_day

# Days before the end, widest first. Its own certificates are renewed by jobs, long before: who comes this near was not.
CERTIFICATE_THRESHOLDS = (5, 1, 0)
# Another authority needs a ceremony and must reach every verifier.
AUTHORITY_THRESHOLDS = (365, 180, 90, 30, 0)


@dataclass(frozen=True)
class Concern:
    """Something of the portal's own that somebody must look after. `threshold` tells its degrees apart, in days."""

    kind: AlertKind
    about: str
    ends_at: datetime
    threshold: int = 0
    certificate_id: int | None = None


@dataclass(frozen=True)
class OwnCertificate:
    """The latest certificate of one purpose and name that the portal uses itself."""

    certificate: Certificate

    def reached(self, now: datetime) -> int | None:
        """Return the nearest threshold that it has reached, in days; None while its end is far."""
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


INVENTORY_KINDS = (AlertKind.OWN_EXPIRY, AlertKind.AUTHORITY_TOO_SHORT)


def report(kinds: Collection[AlertKind], found: Sequence[Concern], now: datetime) -> int:
    """Make the open alerts of `kinds` those that `found` names: raise what is new, settle what is no longer so.

    Return how many were raised. The next sweep tells of them. Without an enabled policy for the portal's own nothing
    is raised. Five queries.
    """
    policy = AlertPolicy.objects.filter(applies_to=AppliesTo.PORTAL, enabled=True).first()
    with transaction.atomic():
        alerts = Alert.objects.open().filter(urgency=Urgency.PORTAL, kind__in=kinds).select_for_update()
        known = {(alert.kind, alert.about, alert.threshold): alert for alert in alerts}
        named = {(concern.kind.value, concern.about, concern.threshold): concern for concern in found}
        gone = {key: alert.pk for key, alert in known.items() if key not in named}
        worse = {(kind, about) for kind, about, _threshold in named}
        nearer = [pk for (kind, about, _threshold), pk in gone.items() if (kind, about) in worse]
        settled = [pk for (kind, about, _threshold), pk in gone.items() if (kind, about) not in worse]
        Alert.objects.filter(pk__in=nearer).update(resolved_at=now, resolution=Resolution.TIGHTENED)
        Alert.objects.filter(pk__in=settled).update(resolved_at=now, resolution=Resolution.SETTLED)
        if policy is None:
            return 0
        new = [_alert(concern, policy, now) for key, concern in named.items() if key not in known]
        Alert.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


def _alert(concern: Concern, policy: AlertPolicy, now: datetime) -> Alert:
    return Alert(
        kind=concern.kind,
        urgency=Urgency.PORTAL,
        about=concern.about[:600],
        certificate_id=concern.certificate_id,
        policy=policy,
        threshold=concern.threshold,
        ends_at=concern.ends_at,
        raised_at=now,
        level_since=now,
    )
