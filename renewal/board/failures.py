"""What went wrong in a campaign, by cause: what the gate refused its devices, and why targets were given up."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet
from django.db.models.fields.json import KT

from inventory.models import AuditAction, AuditEvent
from renewal.models import Campaign, Target, TargetReason, TargetState, WorkOrder
from renewal.models.campaign import GIVEN_UP_STATES

# Of people who answer for a fleet of smart meters: fewer than one in a thousand may need a visit.
YARDSTICK = 0.001


@dataclass(frozen=True)
class Refused:
    """How many targets were refused a renewal since the start for one reason, a RefusalCode."""

    code: str
    targets: int


@dataclass(frozen=True)
class GivenUp:
    state: TargetState
    reason: TargetReason
    targets: int


@dataclass(frozen=True)
class LeftToPeople:
    """How many of `targets` ever became a work order; the article's yardstick is `YARDSTICK` of them."""

    orders: int
    targets: int

    @property
    def share(self) -> float:
        return self.orders / self.targets if self.targets else 0.0

    @property
    def holds(self) -> bool:
        return self.share < YARDSTICK


def refused(campaign: Campaign) -> list[Refused]:
    """Return the refusals of the targets' devices since the campaign's start, most first. One query."""
    if campaign.started_at is None:
        return []
    rows = (
        _refusals(campaign)
        .order_by()
        .values_list(KT("details__reason"))
        .annotate(targets=Count("device", distinct=True))
    )
    found = [Refused(code or "", targets) for code, targets in rows]
    return sorted(found, key=lambda each: (-each.targets, each.code))


def targets_refused(campaign: Campaign, code: str) -> QuerySet[Target]:
    """Return the targets that were refused for this reason."""
    if campaign.started_at is None:
        return Target.objects.none()
    devices = _refusals(campaign).filter(details__reason=code).order_by().values("device")
    return Target.objects.filter(campaign=campaign, device__in=devices)


def _refusals(campaign: Campaign) -> QuerySet[Any]:
    events = AuditEvent.objects.filter(
        action=AuditAction.RENEWAL_REFUSED, at__gte=campaign.started_at, device__campaign_targets__campaign=campaign
    )
    return events.filter(at__lte=campaign.finished_at) if campaign.finished_at else events


def given_up(campaign: Campaign) -> list[GivenUp]:
    """Return why targets stand with a person, most first. One query."""
    rows = (
        Target.objects.filter(campaign=campaign, state__in=GIVEN_UP_STATES)
        .order_by()
        .values_list("state", "reason")
        .annotate(number=Count("pk"))
        .order_by("-number", "state", "reason")
    )
    return [GivenUp(TargetState(state), TargetReason(reason), number) for state, reason, number in rows if reason]


def left_to_people(campaign: Campaign, targets: int) -> LeftToPeople:
    """Return how many targets became work orders, closed or not. One query."""
    return LeftToPeople(WorkOrder.objects.filter(target__campaign=campaign).count(), targets)
