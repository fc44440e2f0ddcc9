"""Two queues of devices that cannot authenticate. Expired is an accident, revoked is a judgement: never one list.

An expired certificate was never distrusted: its device may be given the next one. A revoked one was: its device is
looked into first, in a case that a second person closes. A revocation outweighs an older certificate that merely ended.
Where not the certificate but an authority above it was revoked, the device is cut off too, but nobody distrusts it: it
needs no case, only a certificate of another authority.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import models
from django.db.models import Case as SQLCase
from django.db.models import Exists, F, OuterRef, Q, QuerySet, When
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from inventory.lists.row_counts import Count
from inventory.models import Authority, Case, Certificate, Device, DeviceStatus, FleetIds
from inventory.models.certificate import LIVE_STATES, CertificateQuerySet


class Queue(models.TextChoices):
    EXPIRED = "expired", _("expired")
    REVOKED = "revoked", _("revoked")


@dataclass(frozen=True)
class Reading:
    """How a queue is shown: its tone, what its devices have in common, and what may be done next, in this order."""

    tone: str
    text: str | Promise
    steps: tuple[str | Promise, ...]
    act: str | Promise
    """The first of the steps in a word or two, for each row of a list."""
    forbidden: str | Promise


READINGS = {
    Queue.EXPIRED: Reading(
        "late",
        _("The certificate ended before it was renewed. Nobody distrusts the device; it can no longer authenticate."),
        (_("enrol it anew with a one-time secret"), _("retire it if it is gone")),
        _("enrol anew"),
        _("It cannot renew by itself: verifiers and EST refuse an ended certificate."),
    ),
    Queue.REVOKED: Reading(
        "stopped",
        _(
            "The certificate was revoked by order: whoever holds its key may not be the device. Or its issuer was "
            "revoked, or an authority above that: verifiers accept nothing that it signed."
        ),
        (_("find out what happened to it and open a case"), _("retire it if it stays distrusted")),
        _("open a case"),
        _(
            "It cannot renew or enrol until a second person has cleared it; of a revoked issuer, until its fleet has "
            "another."
        ),
    ),
}


def in_queue(devices: "QuerySet[Device]", queue: Queue, now: datetime) -> "QuerySet[Device]":
    """Return those of `devices` that stand in a queue: in service, and no certificate to use. One query, at once."""
    revoked = Authority.objects.revoked_ids()
    able = Exists(_able(OuterRef("device"), now, revoked))
    first, *others = (part.filter(~able).order_by().values("device_id") for part in _stranding(queue, now, revoked))
    stranded = first.union(*others, all=True) if others else first
    return devices.filter(status=DeviceStatus.IN_SERVICE, pk__in=stranded)


def count_up_to(most: int, queue: Queue, now: datetime, fleets: FleetIds = None) -> Count:
    """Count the devices of a queue, reading at most `most` certificates: beyond that there are at least so many.

    One query, and one for each of the two or three ways into the queue.
    """
    revoked = Authority.objects.revoked_ids()
    able = Exists(_able(OuterRef("device"), now, revoked))
    found: list[int] = []
    for part in _stranding(queue, now, revoked):
        ended = part.filter(~able, device__status=DeviceStatus.IN_SERVICE).of_fleets(fleets)
        found += ended.values_list("device_id", flat=True)[: most - len(found)]
    return Count(len(set(found)), exact=len(found) < most)


def _stranding(queue: Queue, now: datetime, revoked_issuers: Sequence[int]) -> list[CertificateQuerySet]:
    """Return the certificates that put their devices into a queue, unless those can use another one, in parts."""
    certificates = Certificate.objects.of_devices()
    later_standing = Exists(Certificate.objects.standing().newer())
    later_revoked = Exists(Certificate.objects.revoked().newer())
    # A later certificate that ended says that the device was trusted again since; of revocations the last one counts.
    revoked = certificates.revoked().exclude(later_standing).exclude(later_revoked)
    cleared = Exists(Case.objects.cleared().filter(certificate=OuterRef("pk")))
    # The same of revocations above. Without one the condition is left out: it costs most lists nothing.
    under_revoked = Q(authority_id__in=revoked_issuers)
    if queue == Queue.REVOKED:
        parts = [revoked.exclude(cleared)]
        if revoked_issuers:
            later_trusted = Exists(Certificate.objects.standing().exclude(under_revoked).newer())
            cut_off = certificates.standing().filter(under_revoked)
            parts.append(cut_off.exclude(later_revoked).exclude(later_trusted))
        return parts
    ended = certificates.expired(now).alias(standing_end=_STANDING_END).filter(standing_end__lt=now)
    ended = ended.exclude(later_revoked)
    if revoked_issuers:
        later_cut_off = Exists(Certificate.objects.standing().filter(under_revoked).newer())
        ended = ended.exclude(under_revoked).exclude(later_cut_off)
    # Who reads only some begins where most of them are: of what ended long ago, most has been followed by another one.
    ended = ended.order_by("-not_after", "-pk")
    # Once it is cleared nobody distrusts the device any more.
    return [ended, revoked.filter(cleared)]


# Says nothing new, but PostgreSQL keeps statistics of it (migration 0014): so it knows how few are expired.
_STANDING_END = SQLCase(When(state__in=LIVE_STATES, then=F("not_after")))


def _able(device: OuterRef, now: datetime, revoked_issuers: Sequence[int]) -> "QuerySet[Certificate]":
    able = Certificate.objects.standing().filter(device=device, not_after__gte=now)
    return able.exclude(authority_id__in=revoked_issuers)


def queue_of(device: Device, now: datetime) -> Queue | None:
    """Return the queue that a device stands in, None when it can authenticate or is out of service. Four queries."""
    one = Device.objects.filter(pk=device.pk)
    return next((queue for queue in Queue if in_queue(one, queue, now).exists()), None)
