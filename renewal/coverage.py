"""Whether a certificate that ends is taken care of: renewed, in a campaign, or nothing planned yet."""

from datetime import datetime

from django.db import models
from django.db.models import Case, Exists, OuterRef, Q, Value, When
from django.utils.translation import gettext_lazy as _

from inventory.models import Certificate, CertificateState
from inventory.models.certificate import LIVE_STATES, CertificateQuerySet
from renewal.models import CampaignState, Target
from renewal.models.campaign import TargetQuerySet


class Coverage(models.TextChoices):
    """The first that applies."""

    RENEWED = "renewed", _("renewed")
    EXPIRED = "expired", _("expired")
    IN_CAMPAIGN = "in_campaign", _("in campaign")
    UNPLANNED = "unplanned", _("nothing planned")


def with_coverage(certificates: CertificateQuerySet, now: datetime) -> CertificateQuerySet:
    """Annotate each certificate that a device stands on, or stood on until it was renewed, with its `coverage`."""
    return _stood_on(certificates).annotate(coverage=_coverage(now))


def covered(certificates: CertificateQuerySet, coverage: str, now: datetime) -> CertificateQuerySet:
    """Return those whose coverage is this one: the same answer as `with_coverage`, asked in a way that indexes serve."""
    stood_on, coverage = _stood_on(certificates), Coverage(coverage)
    live = certificates.of_devices().standing().filter(~Exists(_newer()))
    questions = {
        Coverage.RENEWED: lambda: stood_on.filter(Q(state=CertificateState.SUPERSEDED) | Exists(_newer())),
        Coverage.EXPIRED: lambda: live.filter(not_after__lt=now),
        Coverage.IN_CAMPAIGN: lambda: live.filter(Exists(_open_targets()), not_after__gte=now),
        Coverage.UNPLANNED: lambda: live.filter(~Exists(_open_targets()), not_after__gte=now),
    }
    return questions[coverage]()


def _stood_on(certificates: CertificateQuerySet) -> CertificateQuerySet:
    return certificates.of_devices().filter(Q(state__in=LIVE_STATES) | Q(state=CertificateState.SUPERSEDED))


def _newer() -> CertificateQuerySet:
    return Certificate.objects.filter(device=OuterRef("device"), state__in=LIVE_STATES, pk__gt=OuterRef("pk"))


def _open_targets() -> TargetQuerySet:
    return Target.objects.open().filter(certificate=OuterRef("pk"), campaign__state__in=_UNFINISHED)


def _coverage(now: datetime) -> Case:
    return Case(
        When(Q(state=CertificateState.SUPERSEDED) | Exists(_newer()), then=Value(Coverage.RENEWED.value)),
        When(not_after__lt=now, then=Value(Coverage.EXPIRED.value)),
        When(Exists(_open_targets()), then=Value(Coverage.IN_CAMPAIGN.value)),
        default=Value(Coverage.UNPLANNED.value),
        output_field=models.CharField(),
    )


_UNFINISHED = (CampaignState.PLANNED, CampaignState.RUNNING, CampaignState.PAUSED)
