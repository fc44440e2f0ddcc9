"""How far the targets of campaigns have come: each step counts all that reached it, so the numbers only shrink."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import models
from django.db.models import Count, Q
from django.utils.translation import gettext_lazy as _

from renewal.models import Target, TargetState
from renewal.models.campaign import TargetQuerySet


class Step(models.TextChoices):
    PLANNED = "planned", _("planned")
    TRIGGERED = "triggered", _("triggered")
    ISSUED = "issued", _("issued")
    CONFIRMED = "confirmed", _("confirmed")
    ESCALATED = "escalated", _("escalated")


# A device may renew before its trigger was sent: what was issued counts as triggered too.
_REACHED = {
    Step.PLANNED: ~Q(state=TargetState.WITHDRAWN),
    Step.TRIGGERED: ~Q(state=TargetState.WITHDRAWN) & (Q(triggered_at__isnull=False) | Q(issued_at__isnull=False)),
    Step.ISSUED: ~Q(state=TargetState.WITHDRAWN) & Q(issued_at__isnull=False),
    Step.CONFIRMED: Q(state=TargetState.CONFIRMED),
    Step.ESCALATED: Q(state=TargetState.ESCALATED),
}


@dataclass(frozen=True)
class Funnel:
    planned: int = 0
    triggered: int = 0
    issued: int = 0
    confirmed: int = 0
    escalated: int = 0

    @property
    def done(self) -> float:
        """The share of targets that are confirmed, from 0 to 1."""
        return self.confirmed / self.planned if self.planned else 0.0


def reached(targets: TargetQuerySet, step: str) -> TargetQuerySet:
    """Return the targets that a number of the funnel counts."""
    return targets.filter(_REACHED[Step(step)])


def of_campaigns(campaign_ids: Iterable[int]) -> dict[int, Funnel]:
    """Return the funnel of each campaign. One query."""
    counts = {step.value: Count("id", filter=condition) for step, condition in _REACHED.items()}
    rows = Target.objects.filter(campaign_id__in=list(campaign_ids)).order_by().values("campaign_id").annotate(**counts)
    return {row.pop("campaign_id"): Funnel(**row) for row in rows}
