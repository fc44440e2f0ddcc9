"""Which certificates a campaign is for."""

from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Exists, OuterRef, Q

from inventory.models import Batch, Certificate, DeviceStatus, Fleet, Site
from inventory.models.certificate import CertificateQuerySet
from renewal.models import Target
from renewal.models.campaign import OPEN_STATES, UNFINISHED_STATES


@dataclass(frozen=True)
class Selection:
    """Which certificates a campaign is for: those of a fleet with `expires_from <= not_after < expires_before`.

    `among`: a condition on certificates beside that; `chosen_from` says which, for the record.
    """

    fleet: Fleet
    expires_from: datetime
    expires_before: datetime
    site: Site | None = None
    batch: Batch | None = None
    among: Q = field(default_factory=Q)
    chosen_from: str = ""


def selected(selection: Selection) -> CertificateQuerySet:
    """Return the certificates that a campaign for `selection` would renew now, one a device.

    Left out: devices out of service, those with a newer certificate already, those in another open campaign, and what
    external authorities or revoked ones signed, with which no device can renew here. One query, at once.
    """
    ours = Certificate.objects.filter(authority__key_name__isnull=False).trusted()
    elsewhere = Target.objects.filter(
        device=OuterRef("device"), state__in=OPEN_STATES, campaign__state__in=UNFINISHED_STATES
    )
    certificates = (
        ours.of_devices()
        .expiring_between(selection.expires_from, selection.expires_before)
        .filter(device__fleet=selection.fleet, device__status=DeviceStatus.IN_SERVICE)
        .exclude(Exists(ours.standing().newer()))
        .exclude(Exists(elsewhere))
        .filter(selection.among)
    )
    if selection.site:
        certificates = certificates.filter(device__site=selection.site)
    if selection.batch:
        certificates = certificates.filter(device__batch=selection.batch)
    return certificates
