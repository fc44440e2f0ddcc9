"""What became of messages moves targets: what certainly never left is given back, what was refused goes on."""

from collections.abc import Sequence
from datetime import datetime

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Greatest

from renewal.channels import outcomes
from renewal.channels.messages import Delivery, Fate
from renewal.models import Campaign, Channel, TargetReason, TargetState

# What the claim moved, moved back; not where a fact has moved the target on meanwhile.
_GIVE_BACK = """
    WITH never_left AS (
        DELETE FROM renewal_attempt WHERE id = ANY(%(attempts)s)
        RETURNING id AS attempt, target_id, number, rung, rung_attempt, channel
    ), given_back AS (
        UPDATE renewal_target target
        SET attempts_made = never_left.number - 1, rung = never_left.rung,
            rung_attempts = never_left.rung_attempt - 1, channel = never_left.channel,
            next_step_at = due.clock,
            asked_over = coalesce((
                SELECT before.channel FROM renewal_attempt before
                WHERE before.target_id = never_left.target_id AND before.number = never_left.number - 1
            ), ''),
            triggered_at = CASE WHEN never_left.number > 1 THEN target.triggered_at END,
            state = CASE WHEN never_left.number = 1 AND target.state = %(triggered)s THEN %(planned)s
                         ELSE target.state END
        FROM never_left
        JOIN unnest(%(attempts)s::bigint[], %(clocks)s::timestamptz[]) AS due (attempt, clock) USING (attempt)
        WHERE target.id = never_left.target_id AND target.attempts_made = never_left.number
          AND target.next_step_at IS NOT NULL
        RETURNING target.id, target.state
    )
    INSERT INTO renewal_targetmove (target_id, at, state, reason)
    SELECT id, %(now)s, state, %(reason)s FROM given_back WHERE state = %(planned)s ORDER BY id"""
# More attempts than any rung has: the ladder goes on to the next one, at once.
_LEAVE_RUNG = """
    UPDATE renewal_target target SET rung = attempt.rung, rung_attempts = 32767, next_step_at = %s
    FROM renewal_attempt attempt
    WHERE attempt.id = ANY(%s) AND target.id = attempt.target_id AND target.attempts_made = attempt.number
      AND target.next_step_at IS NOT NULL"""


def write_down(
    campaign: Campaign, channel: Channel, deliveries: Sequence[Delivery], retry_at: datetime, now: datetime
) -> None:
    """Write down what became of messages of `campaign` over `channel`.

    One statement, and one for each fate that moves targets; two for SMS that never left. Such are due again at
    `retry_at`, or when their delivery says.
    """
    outcomes.write_down(deliveries)
    never_left = [delivery for delivery in deliveries if delivery.fate is Fate.NEVER_LEFT]
    refused = [delivery.attempt for delivery in deliveries if delivery.fate is Fate.REFUSED]
    if not never_left and not refused:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        if refused:
            cursor.execute(_LEAVE_RUNG, [campaign.clock(now), refused])
        if never_left:
            cursor.execute(
                _GIVE_BACK,
                {
                    "attempts": [delivery.attempt for delivery in never_left],
                    "clocks": [campaign.clock(delivery.retry_at or retry_at) for delivery in never_left],
                    "now": now,
                    "triggered": TargetState.TRIGGERED.value,
                    "planned": TargetState.PLANNED.value,
                    "reason": TargetReason.NEVER_LEFT.value,
                },
            )
            if channel == Channel.SMS:
                # As the claim counted them: a claim and what it counts stand and fall together.
                used = Greatest(F("sms_used") - len(never_left), 0)
                Campaign.objects.filter(pk=campaign.pk).update(sms_used=used)
