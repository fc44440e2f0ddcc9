"""What the board of a campaign is made of: targets counted in groups, whose number does not grow with the targets.

Each list comes from one statement that reads every target, or every message, once: 2 s at 2.2 million.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from inventory.models import Connectivity
from renewal.board.waits import EDGES, Phase, WaitKind
from renewal.models import Campaign, TargetState

DAY = timedelta(days=1)
# The days on which certificates end are told apart up to this many, then put together in stretches of equal length.
MOST_STRETCHES = 100

# What has its new certificate is `issued`, even where a person was asked to look at it.
_STANDINGS = """
    SELECT target.state, placed.phase,
           CASE WHEN placed.phase <> %(through)s THEN device.connectivity ELSE '' END,
           CASE WHEN placed.phase <> %(through)s
                THEN floor(extract(epoch FROM target.ends_at - %(first)s) / %(stretch)s)::int END,
           CASE WHEN aged.age >= 0 THEN width_bucket(aged.age, %(edges)s::float8[]) END,
           count(*), avg(extract(epoch FROM target.ends_at - %(now)s)::float8) / 86400, avg(aged.age),
           min(target.next_step_at), count(*) FILTER (WHERE target.attempts_made = 0),
           count(*) FILTER (WHERE target.ends_at <= %(now)s AND target.state <> %(withdrawn)s
                                  AND (target.issued_at IS NULL OR target.issued_at > target.ends_at)),
           count(*) FILTER (WHERE target.triggered_at > %(now)s - interval '1 day'),
           count(*) FILTER (WHERE target.confirmed_at >= date_trunc('second', %(now)s - interval '1 day'))
    FROM renewal_target target
    JOIN inventory_device device ON device.id = target.device_id
    CROSS JOIN LATERAL (SELECT CASE
        WHEN target.state IN (%(confirmed)s, %(withdrawn)s) THEN %(through)s
        WHEN target.issued_at IS NOT NULL THEN %(issued)s
        WHEN target.ends_at <= %(now)s THEN %(ended)s
        WHEN target.state = %(escalated)s THEN %(given_up)s
        WHEN target.triggered_at IS NULL THEN %(unasked)s
        ELSE %(asked)s END AS phase) placed
    CROSS JOIN LATERAL (SELECT extract(epoch FROM %(now)s - CASE placed.phase
        WHEN %(issued)s THEN target.issued_at
        WHEN %(given_up)s THEN target.escalated_at
        WHEN %(asked)s THEN target.triggered_at END)::float8 / 86400 AS age) aged
    WHERE target.campaign_id = %(campaign)s
    GROUP BY 1, 2, 3, 4, 5"""
# How long each target waited, and whether what it waited for came. A wait that something else ended says only that it
# did not come until then.
_WAITS = """
    SELECT wait.kind, CASE WHEN wait.kind = %(answer)s THEN device.connectivity ELSE '' END,
           width_bucket(length.days, %(edges)s::float8[]), count(*),
           count(*) FILTER (WHERE wait.came <= wait.cut), sum(length.days)
    FROM renewal_target target
    JOIN inventory_device device ON device.id = target.device_id
    CROSS JOIN LATERAL (VALUES
        (%(answer)s, target.triggered_at, target.issued_at, least(target.escalated_at, target.ends_at, %(now)s)),
        (%(recovery)s, target.escalated_at, target.issued_at, least(target.ends_at, %(now)s)),
        (%(first_use)s, target.issued_at, target.confirmed_at, %(now)s)
    ) AS wait (kind, began, came, cut)
    CROSS JOIN LATERAL (
        SELECT extract(epoch FROM least(wait.came, wait.cut) - wait.began)::float8 / 86400 AS days
    ) length
    WHERE target.campaign_id = %(campaign)s AND target.state <> %(withdrawn)s AND wait.began IS NOT NULL
      AND length.days >= 0
    GROUP BY 1, 2, 3"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Targets alike: `count` of them.

    `stretch`: in which stretch of days their certificates end, from 0; None where that matters no more. `bin`: that
    of their age (`waits.EDGES`). `ends_in` and `age`: days, their mean; the age since they were asked, issued or given
    up, by their phase, None in other phases. `next_step`: by the
    campaign's clock. `never_asked`: without any message. `missed`: those whose certificate ended before a new one was
    issued. `asked_lately`, `confirmed_lately`: within the last 24 h.
    """

    state: TargetState
    phase: Phase
    connectivity: str
    stretch: int | None
    bin: int | None
    count: int
    ends_in: float
    age: float | None
    next_step: datetime | None
    never_asked: int
    missed: int
    asked_lately: int
    confirmed_lately: int


@dataclass(frozen=True, slots=True)
class Waited:
    """`count` waits of one `kind` whose length was in bin `bin`; for `came` of them it came. `days`: their sum."""

    kind: WaitKind
    connectivity: str
    bin: int
    count: int
    came: int
    days: float


@dataclass(frozen=True)
class Findings:
    """As of `at`. Certificates of stretch n end from `first + n * stretch` on."""

    at: datetime
    first: datetime
    stretch: timedelta
    standings: list[Standing]
    waits: list[Waited]

    @property
    def total(self) -> int:
        return sum(each.count for each in self.standings)

    def by_state(self) -> dict[TargetState, int]:
        counts = dict.fromkeys(TargetState, 0)
        for each in self.standings:
            counts[each.state] += each.count
        return counts

    @property
    def missed(self) -> int:
        return sum(each.missed for each in self.standings)


def stretches(campaign: Campaign) -> tuple[datetime, timedelta]:
    """Return where the first stretch of a campaign begins, at midnight UTC, and how long each is, in whole days."""
    first = campaign.expires_from.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = -(-(campaign.expires_before - first) // DAY)
    return first, max(1, -(-days // MOST_STRETCHES)) * DAY


def find(campaign: Campaign, now: datetime) -> Findings:
    """Count the targets of a campaign. Two queries; at most some thousand rows whatever the number of targets."""
    first, stretch = stretches(campaign)
    parameters: dict[str, Any] = {
        **{phase.value: phase.value for phase in Phase},
        **{kind.value: kind.value for kind in WaitKind},
        "confirmed": TargetState.CONFIRMED.value,
        "escalated": TargetState.ESCALATED.value,
        "withdrawn": TargetState.WITHDRAWN.value,
        "campaign": campaign.pk,
        "now": now,
        "first": first,
        "stretch": stretch.total_seconds(),
        "edges": list(EDGES[1:]),
    }
    with connection.cursor() as cursor:
        cursor.execute(_STANDINGS, parameters)
        standings = [
            Standing(
                TargetState(state),
                Phase(phase),
                connectivity and Connectivity(connectivity).value,
                stretch_number,
                number,
                count,
                *rest,
            )
            for state, phase, connectivity, stretch_number, number, count, *rest in cursor.fetchall()
        ]
        cursor.execute(_WAITS, parameters)
        waits = [
            Waited(WaitKind(kind), connectivity, number, count, came, days)
            for kind, connectivity, number, count, came, days in cursor.fetchall()
        ]
    return Findings(now, first, stretch, standings, waits)
