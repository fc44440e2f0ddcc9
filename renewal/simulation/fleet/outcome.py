"""What came of a campaign, counted from the rows that the product wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Count, QuerySet

from renewal import target_counts
from renewal.models import Attempt, Campaign, TargetState, WorkOrder
from renewal.models.work_order import BY_HAND
from renewal.simulation.fleet.planting import number_of

# In service, with no certificate that it could authenticate with, though it had one; and whether somebody was there.
_EXPIRED = """
    SELECT device.serial, EXISTS (
        SELECT FROM renewal_workorder o WHERE o.target_id = target.id AND o.outcome = ANY(%(by_hand)s)
    ) FROM inventory_device device
    JOIN renewal_target target ON target.device_id = device.id AND target.campaign_id = %(campaign)s
    WHERE device.status = 'in_service' AND target.ends_at <= %(now)s
      AND NOT EXISTS (
        SELECT FROM inventory_certificate c
        WHERE c.device_id = device.id AND c.state IN ('issued', 'confirmed') AND c.not_after > %(now)s
      )
    ORDER BY 1"""
_RENEWED = """
    SELECT count(DISTINCT c.device_id) FROM inventory_certificate c
    JOIN renewal_target target ON target.device_id = c.device_id AND target.campaign_id = %(campaign)s
    WHERE c.predecessor_id IS NOT NULL AND c.activated_at IS NOT NULL"""

# How many targets went from one state to another until each of some moments, since the one before.
_MOVES = """
    SELECT width_bucket(at - interval '1 microsecond', %(moments)s::timestamptz[]), before, state, count(*)
    FROM (
        SELECT move.at, move.state,
               lag(move.state, 1, %(planned)s) OVER (PARTITION BY move.target_id ORDER BY move.id) AS before
        FROM renewal_targetmove move JOIN renewal_target target ON target.id = move.target_id
        WHERE target.campaign_id = %(campaign)s
    ) moves GROUP BY 1, 2, 3"""


@dataclass(frozen=True)
class Rows:
    """Counts of the database at the end. `visits`: orders that somebody closed on the spot.

    `expired`: meters in service whose certificate has ended. The door refuses them from now on, so each needs a person;
    of them `unvisited` have not seen one yet.
    """

    renewed: int
    orders: int
    visits: int
    outcomes: Mapping[str, int]
    states: Mapping[str, int]
    messages: Mapping[str, int]
    expired: list[int]
    unvisited: int

    @property
    def interventions(self) -> int:
        """How many meters took or take a person, each counted once."""
        return self.visits + self.unvisited


def counted(campaign: Campaign, now: datetime) -> Rows:
    """Count at `now`. Five queries."""
    by_hand = [outcome.value for outcome in BY_HAND]
    parameters: dict[str, Any] = {"campaign": campaign.pk, "now": now, "by_hand": by_hand}
    with connection.cursor() as cursor:
        cursor.execute(_RENEWED, parameters)
        [renewed] = cursor.fetchone()
        cursor.execute(_EXPIRED, parameters)
        expired = cursor.fetchall()
    outcomes = _by(WorkOrder.objects.filter(target__campaign=campaign), "outcome")
    return Rows(
        renewed=renewed,
        orders=sum(outcomes.values()),
        visits=sum(outcomes.get(outcome, 0) for outcome in by_hand),
        outcomes={outcome or "open": number for outcome, number in outcomes.items()},
        states=states(campaign),
        messages=_by(Attempt.objects.filter(target__campaign=campaign), "channel"),
        expired=[number_of(serial) for serial, _visited in expired],
        unvisited=sum(not visited for _serial, visited in expired),
    )


def _by(rows: QuerySet[Any], column: str) -> dict[str, int]:
    return dict(rows.order_by(column).values_list(column).annotate(number=Count("pk")))


def course(campaign: Campaign, moments: Sequence[datetime]) -> list[dict[str, int]]:
    """Return how many targets were in each state at each of `moments`, which ascend. Two queries."""
    changes = [dict.fromkeys(TargetState.values, 0) for _moment in moments]
    with connection.cursor() as cursor:
        planned = TargetState.PLANNED.value
        cursor.execute(_MOVES, {"campaign": campaign.pk, "moments": list(moments), "planned": planned})
        for until, before, state, number in cursor.fetchall():
            if until < len(moments):
                changes[until][before] -= number
                changes[until][state] += number
    counts = dict.fromkeys(TargetState.values, 0) | {planned: target_counts.total(campaign)}
    found = []
    for change in changes:
        counts = {state: number + change[state] for state, number in counts.items()}
        found.append(counts)
    return found


def states(campaign: Campaign) -> dict[str, int]:
    """Return how many targets are in each state. One query."""
    return {state.value: number for state, number in target_counts.by_state([campaign])[campaign.pk].items()}
