"""Coverage of an expiring certificate: renewed, in a campaign, or nothing planned yet."""

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Value, When
from django.utils.translation import gettext_lazy as _

from inventory.models import Certificate, CertificateState
from inventory.models.certificate import LIVE_STATES, CertificateQuerySet
from renewal.models import Target
from renewal.models.campaign import UNFINISHED_STATES, TargetQuerySet


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
    """Return those whose coverage is this one, as `with_coverage` says it, asked in a way that indexes serve."""
    stood_on, coverage = _stood_on(certificates), Coverage(coverage)
    live = certificates.of_devices().standing().filter(_row_by_row(_newer(), False))
    questions = {
        Coverage.RENEWED: lambda: stood_on.filter(Q(state=CertificateState.SUPERSEDED) | Exists(_newer())),
        Coverage.EXPIRED: lambda: live.filter(not_after__lt=now),
        Coverage.IN_CAMPAIGN: lambda: live.filter(_row_by_row(_open_targets(), True), not_after__gte=now),
        Coverage.UNPLANNED: lambda: live.filter(_row_by_row(_open_targets(), False), not_after__gte=now),
    }
    return questions[coverage]()


def _stood_on(certificates: CertificateQuerySet) -> CertificateQuerySet:
    return certificates.of_devices().filter(Q(state__in=LIVE_STATES) | Q(state=CertificateState.SUPERSEDED))


def _row_by_row(rows: QuerySet[Any], there: bool) -> Case:
    """Ask whether there are such rows for each certificate in the order of the list: a page needs few answers.

    Asked plainly, PostgreSQL joins the whole tables first: 17 s at 6.6 million certificates.
    """
    return Case(When(Exists(rows), then=Value(there)), default=Value(not there), output_field=models.BooleanField())


def _newer() -> CertificateQuerySet:
    return Certificate.objects.standing().newer()


def _open_targets() -> TargetQuerySet:
    return Target.objects.open().filter(certificate=OuterRef("pk"), campaign__state__in=UNFINISHED_STATES)


def _coverage(now: datetime) -> Case:
    return Case(
        When(Q(state=CertificateState.SUPERSEDED) | Exists(_newer()), then=Value(Coverage.RENEWED.value)),
        When(not_after__lt=now, then=Value(Coverage.EXPIRED.value)),
        When(Exists(_open_targets()), then=Value(Coverage.IN_CAMPAIGN.value)),
        default=Value(Coverage.UNPLANNED.value),
        output_field=models.CharField(),
    )
