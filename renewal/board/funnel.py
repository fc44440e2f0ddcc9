"""Progress of campaigns, for their pages."""

from dataclasses import dataclass

from django.db.models import Count, F, Q

from renewal import target_counts
from renewal.models import Campaign, Target, TargetState
from renewal.models.campaign import GIVEN_UP_STATES, OPEN_STATES


@dataclass(frozen=True)
class Funnel:
    """Targets by how far they have come: `reached` counts those that got at least so far, `now` those that stand there.

    The states in `now` add up to `total`.
    """

    total: int
    now: dict[TargetState, int]

    @property
    def done(self) -> float:
        """The share that is confirmed, from 0 to 1."""
        return self.now[TargetState.CONFIRMED] / self.total if self.total else 0.0

    @property
    def left_to_people(self) -> int:
        return sum(self.now[state] for state in GIVEN_UP_STATES)

    @property
    def reached(self) -> dict[TargetState, int]:
        confirmed = self.now[TargetState.CONFIRMED]
        issued = confirmed + self.now[TargetState.ISSUED]
        triggered = issued + self.now[TargetState.TRIGGERED] + self.now[TargetState.ACKNOWLEDGED]
        return {
            TargetState.PLANNED: self.total,
            TargetState.TRIGGERED: triggered,
            TargetState.ISSUED: issued,
            TargetState.CONFIRMED: confirmed,
        }


def funnels(campaigns: list[Campaign]) -> dict[int, Funnel]:
    """Return the funnel of each campaign by its id. One query, whatever the number of targets."""
    return {pk: Funnel(sum(states.values()), states) for pk, states in target_counts.by_state(campaigns).items()}


@dataclass(frozen=True)
class SiteLine:
    """Targets of one site by state; None: devices without a site. The counts add up to `total`."""

    site_id: int | None
    name: str
    total: int
    now: dict[TargetState, int]


def by_site(campaign: Campaign, most: int) -> list[SiteLine]:
    """Return the `most` sites with the most left to do, most for people first. One query, whatever their number."""
    rows = (
        Target.objects.filter(campaign=campaign)
        .values("device__site", "device__site__name")
        .annotate(
            total=Count("pk"),
            left=Count("pk", filter=Q(state__in=OPEN_STATES)),
            planned=_standing(TargetState.PLANNED),
            triggered=_standing(TargetState.TRIGGERED),
            acknowledged=_standing(TargetState.ACKNOWLEDGED),
            issued=_standing(TargetState.ISSUED),
            confirmed=_standing(TargetState.CONFIRMED),
            escalated=_standing(TargetState.ESCALATED),
            failed=_standing(TargetState.FAILED),
            withdrawn=_standing(TargetState.WITHDRAWN),
        )
        .order_by(-(F("escalated") + F("failed")), "-left", "device__site__name", "device__site")
        .values_list("device__site", "device__site__name", "total", *TargetState.values)[:most]
    )
    return [
        SiteLine(site_id, name or "", total, dict(zip(TargetState, counts, strict=True)))
        for site_id, name, total, *counts in rows
    ]


def _standing(state: TargetState) -> Count:
    return Count("pk", filter=Q(state=state))
