"""What became of messages, written down. What certainly never left is given back: it costs its device nothing."""

from collections.abc import Sequence
from datetime import datetime

from django.db import connection

from renewal.channels.messages import Delivery, Fate
from renewal.models import AttemptOutcome, Campaign, TargetReason, TargetState

_OUTCOMES = {
    Fate.TAKEN: AttemptOutcome.SENT,
    Fate.IN_DOUBT: AttemptOutcome.IN_DOUBT,
    Fate.REFUSED: AttemptOutcome.REFUSED,
}
_WRITE_DOWN = """
    UPDATE renewal_attempt attempt SET outcome = delivery.outcome, detail = delivery.detail
    FROM unnest(%s::bigint[], %s::varchar[], %s::varchar[]) AS delivery (attempt, outcome, detail)
    WHERE attempt.id = delivery.attempt AND attempt.outcome = %s"""
# What the claim moved, moved back; not where a fact has moved the target on meanwhile.
_GIVE_BACK = """
    WITH never_left AS (
        DELETE FROM renewal_attempt WHERE id = ANY(%(attempts)s)
        RETURNING target_id, number, rung, rung_attempt, channel
    ), given_back AS (
        UPDATE renewal_target target
        SET attempts_made = never_left.number - 1, rung = never_left.rung,
            rung_attempts = never_left.rung_attempt - 1, channel = never_left.channel, next_step_at = %(clock)s,
            asked_over = coalesce((
                SELECT before.channel FROM renewal_attempt before
                WHERE before.target_id = never_left.target_id AND before.number = never_left.number - 1
            ), ''),
            triggered_at = CASE WHEN never_left.number > 1 THEN target.triggered_at END,
            state = CASE WHEN never_left.number = 1 AND target.state = %(triggered)s THEN %(planned)s
                         ELSE target.state END
        FROM never_left
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


def write_down(campaign: Campaign, deliveries: Sequence[Delivery], retry_at: datetime, now: datetime) -> None:
    """Write down what became of messages of `campaign`. One statement, and one for each fate that moves targets.

    What never left is due again at `retry_at`.
    """
    left = [delivery for delivery in deliveries if delivery.fate in _OUTCOMES]
    never_left = [delivery.attempt for delivery in deliveries if delivery.fate is Fate.NEVER_LEFT]
    refused = [delivery.attempt for delivery in deliveries if delivery.fate is Fate.REFUSED]
    with connection.cursor() as cursor:
        if left:
            columns = (
                [delivery.attempt for delivery in left],
                [_OUTCOMES[delivery.fate].value for delivery in left],
                [delivery.detail[:200] for delivery in left],
            )
            cursor.execute(_WRITE_DOWN, [*columns, AttemptOutcome.CLAIMED.value])
        if refused:
            cursor.execute(_LEAVE_RUNG, [campaign.clock(now), refused])
        if never_left:
            cursor.execute(
                _GIVE_BACK,
                {
                    "attempts": never_left,
                    "clock": campaign.clock(retry_at),
                    "now": now,
                    "triggered": TargetState.TRIGGERED.value,
                    "planned": TargetState.PLANNED.value,
                    "reason": TargetReason.NEVER_LEFT.value,
                },
            )
