"""What the messages of a campaign yielded: sent, reached, renewed, by step of the ladder and number of the message.

A renewal belongs to the last message before it, whatever its channel: that of an SMS is not one of the MQTT message
before. What was refused for good by the next hop was not sent.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from renewal.models import AttemptOutcome, Campaign, Channel, Gateway, Target

# Parameters: delivered, campaign, refused (`_of`).
_MESSAGES = """
    SELECT message.target_id, message.rung, message.channel, message.rung_attempt,
           message.issued_at IS NOT NULL AND message.issued_at < message.at AS reminder,
           message.issued_at >= message.at AND coalesce(message.issued_at < message.next_at, true) AS renewed,
           message.outcome = %s
               OR (message.issued_at >= message.at AND coalesce(message.issued_at < message.next_at, true))
               OR (message.acknowledged_at >= message.at AND coalesce(message.acknowledged_at < message.next_at, true))
               AS reached,
           message.confirmed_at >= message.at AND coalesce(message.confirmed_at < message.next_at, true) AS used
    FROM (
        SELECT attempt.target_id, attempt.rung, attempt.channel, attempt.rung_attempt, attempt.at, attempt.outcome,
               target.issued_at, target.acknowledged_at, target.confirmed_at,
               lead(attempt.at) OVER (PARTITION BY attempt.target_id ORDER BY attempt.number) AS next_at
        FROM renewal_attempt attempt JOIN renewal_target target ON target.id = attempt.target_id
        WHERE target.campaign_id = %s AND attempt.outcome <> %s
    ) message"""
# Targets: none gets a message of one step twice, and who was reminded several times is one.
_COUNTS = f"""
    WITH message AS ({_MESSAGES})
    SELECT rung, channel, rung_attempt, count(DISTINCT target_id),
           count(DISTINCT target_id) FILTER (WHERE reached), count(DISTINCT target_id) FILTER (WHERE renewed)
    FROM message WHERE NOT reminder GROUP BY 1, 2, 3
    UNION ALL
    SELECT NULL, 'reminder', 0, count(DISTINCT target_id), 0, count(DISTINCT target_id) FILTER (WHERE used)
    FROM message WHERE reminder
    UNION ALL
    SELECT NULL, 'renewed', 0, 0, 0, count(*)
    FROM renewal_target WHERE campaign_id = %s AND issued_at IS NOT NULL
    ORDER BY 1, 2, 3"""  # noqa: S608 - of constants


class Stage(StrEnum):
    """What the numbers of a step count."""

    SENT = "sent"
    REACHED = "reached"
    RENEWED = "renewed"


@dataclass(frozen=True)
class Step:
    """A message of the ladder: which attempt, from 1, on which rung, from 0."""

    rung: int
    channel: Channel
    attempt: int

    def __str__(self) -> str:
        return f"{self.rung}-{self.channel.value}-{self.attempt}"

    @classmethod
    def read(cls, text: str) -> "Step | None":
        """Return the step that is written so, None for any other text."""
        rung, _dash, rest = text.partition("-")
        channel, _dash, attempt = rest.partition("-")
        numbers = all(each.isascii() and each.isdecimal() and len(each) <= _LONGEST for each in (rung, attempt))
        return cls(int(rung), Channel(channel), int(attempt)) if numbers and channel in Channel.values else None


# Digits of a small integer of PostgreSQL, less one.
_LONGEST = 4


@dataclass(frozen=True)
class StepYield:
    """Targets that were `sent` the message of a step, that it reached, and that renewed before the next message.

    `price`: what a message costs over the gateway that serves the channel now.
    """

    step: Step
    sent: int
    reached: int
    renewed: int
    price: Decimal = Decimal(0)

    @property
    def cost(self) -> Decimal:
        return self.sent * self.price

    @property
    def cost_of_a_renewal(self) -> Decimal | None:
        """What one renewal by this step cost, None when it brought none."""
        return self.cost / self.renewed if self.renewed else None


@dataclass(frozen=True)
class Yields:
    """The steps, in the order of the ladder. Their renewals and those `unasked` are all that there are.

    `unasked`: renewed before any message. `reminded`: of their new certificate, which they had not used; `used`: those
    that did so before the next message.
    """

    steps: list[StepYield]
    unasked: int
    reminded: int
    used: int

    @property
    def cost(self) -> Decimal:
        """What the messages of the ladder cost, without the reminders."""
        return sum((each.cost for each in self.steps), Decimal(0))


def yields(campaign: Campaign) -> Yields:
    """Return what the messages of a campaign yielded. Two queries, one of which reads every message."""
    prices = Gateway.objects.prices(campaign.fleet_id)
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, [*_of(campaign), campaign.pk])
        rows = cursor.fetchall()
    steps, others = [], {}
    for rung, kind, attempt, sent, reached, renewed in rows:
        if rung is None:
            others[kind] = sent, renewed
        else:
            channel = Channel(kind)
            price = prices.get(channel, Decimal(0))
            steps.append(StepYield(Step(rung, channel, attempt), sent, reached, renewed, price))
    reminded, used = others["reminder"]
    unasked = others["renewed"][1] - sum(each.renewed for each in steps)
    return Yields(steps, unasked, reminded, used)


def targets_of(campaign: Campaign, step: Step, stage: Stage) -> QuerySet[Target]:
    """Return the targets that a number of a step counts."""
    which = {Stage.SENT: "true", Stage.REACHED: "reached", Stage.RENEWED: "renewed"}[stage]
    statement = f"""(SELECT target_id FROM ({_MESSAGES}) step
        WHERE NOT reminder AND rung = %s AND channel = %s AND rung_attempt = %s AND {which})"""  # noqa: S608
    return _among(statement, [*_of(campaign), step.rung, step.channel.value, step.attempt])


def targets_unasked(campaign: Campaign) -> QuerySet[Target]:
    """Return the targets that renewed before any message."""
    renewed = _among(f"(SELECT target_id FROM ({_MESSAGES}) step WHERE renewed)", _of(campaign))  # noqa: S608
    return Target.objects.filter(campaign=campaign, issued_at__isnull=False).exclude(pk__in=renewed.values("pk"))


def targets_reminded(campaign: Campaign, *, used: bool) -> QuerySet[Target]:
    """Return the targets that were reminded of their new certificate, or those which then used it."""
    which = "used" if used else "true"
    statement = f"(SELECT target_id FROM ({_MESSAGES}) step WHERE reminder AND {which})"  # noqa: S608 - of constants
    return _among(statement, _of(campaign))


def _of(campaign: Campaign) -> list[Any]:
    return [AttemptOutcome.DELIVERED.value, campaign.pk, AttemptOutcome.REFUSED.value]


def _among(statement: str, parameters: list[Any]) -> QuerySet[Target]:
    return Target.objects.filter(pk__in=RawSQL(statement, parameters))  # noqa: S611 - of constants
