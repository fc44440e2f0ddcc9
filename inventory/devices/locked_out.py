"""Two queues of devices that cannot authenticate. Expired is an accident, revoked is a judgement: never one list.

An expired certificate was never distrusted: its device may be given the next one. A revoked one was: its device is
looked into first, in a case that a second person closes. A revocation outweighs an older certificate that merely ended.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import models
from django.db.models import Case as SQLCase
from django.db.models import Exists, F, OuterRef, QuerySet, When
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from inventory.lists.row_counts import Count
from inventory.models import Case, Certificate, Device, DeviceStatus, FleetIds
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
    forbidden: str | Promise


READINGS = {
    Queue.EXPIRED: Reading(
        "late",
        _("The certificate ended before it was renewed. Nobody distrusts the device; it can no longer authenticate."),
        (_("enrol it anew with a one-time secret"), _("retire it if it is gone")),
        _("It cannot renew by itself: verifiers and EST refuse an ended certificate."),
    ),
    Queue.REVOKED: Reading(
        "stopped",
        _("The certificate was revoked by order. Whoever holds its key may not be the device."),
        (_("find out what happened to it and open a case"), _("retire it if it stays distrusted")),
        _("It cannot renew or enrol until a second person has cleared it."),
    ),
}


def in_queue(devices: "QuerySet[Device]", queue: Queue, now: datetime) -> "QuerySet[Device]":
    """Return those of `devices` that stand in a queue: in service, and no certificate to use."""
    first, *others = (part.order_by().values("device_id") for part in _stranding(queue, now))
    stranded = first.union(*others, all=True) if others else first
    return devices.filter(~Exists(_able(OuterRef("pk"), now)), status=DeviceStatus.IN_SERVICE, pk__in=stranded)


def count_up_to(most: int, queue: Queue, now: datetime, fleets: FleetIds = None) -> Count:
    """Count the devices of a queue, reading at most `most` certificates: beyond that there are at least so many."""
    found: list[int] = []
    for part in _stranding(queue, now):
        ended = part.filter(~Exists(_able(OuterRef("device"), now)), device__status=DeviceStatus.IN_SERVICE)
        ended = ended.of_fleets(fleets)
        found += ended.order_by().values_list("device_id", flat=True)[: most - len(found)]
    return Count(len(set(found)), exact=len(found) < most)


def _stranding(queue: Queue, now: datetime) -> list[CertificateQuerySet]:
    """Return the certificates that put their devices into a queue, unless those can use another one, in parts."""
    certificates = Certificate.objects.of_devices()
    later_revoked = Exists(Certificate.objects.revoked().newer())
    # A later certificate that ended says that the device was trusted again since; of revocations the last one counts.
    revoked = certificates.revoked().exclude(Exists(Certificate.objects.standing().newer())).exclude(later_revoked)
    cleared = Exists(Case.objects.cleared().filter(certificate=OuterRef("pk")))
    if queue == Queue.REVOKED:
        return [revoked.exclude(cleared)]
    ended = certificates.expired(now).alias(standing_end=_STANDING_END).filter(standing_end__lt=now)
    ended = ended.exclude(later_revoked)
    # Once it is cleared nobody distrusts the device any more.
    return [ended, revoked.filter(cleared)]


# Says nothing new, but PostgreSQL keeps statistics of it (migration 0014): so it knows how few are expired.
_STANDING_END = SQLCase(When(state__in=LIVE_STATES, then=F("not_after")))


def _able(device: OuterRef, now: datetime) -> "QuerySet[Certificate]":
    return Certificate.objects.standing().filter(device=device, not_after__gte=now)


def queue_of(device: Device, now: datetime) -> Queue | None:
    """Return the queue that a device stands in, None when it can authenticate or is out of service. Two queries."""
    one = Device.objects.filter(pk=device.pk)
    return next((queue for queue in Queue if in_queue(one, queue, now).exists()), None)
