"""One tick of a campaign: read the facts, claim what is due, send it, write down what became of it.

A target is claimed before it is sent, by moving its next step: a crash in between costs the device one wait, never a
second trigger in the same wait. What certainly never left is given back: the attempt does not count, and the next try
is minutes away. One tick of a campaign at a time.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

from inventory import session_locks
from inventory.audit.record import SYSTEM
from renewal.campaigns import planning
from renewal.campaigns.ladder import Escalate, Evidence, Rules, Trigger, next_step
from renewal.campaigns.observing import Progress, observe
from renewal.campaigns.planning import CampaignError
from renewal.channels import outcomes, trouble
from renewal.channels.messages import Delivery, Fate, TriggerChannel, TriggerMessage
from renewal.models import Attempt, Campaign, CampaignState, Channel, Target, TargetState

_MARK_TRIGGERED = """
UPDATE renewal_target target
SET attempts_made = target.attempts_made + 1, next_step_at = step.look_again_at,
    triggered_at = coalesce(target.triggered_at, %(now)s),
    state = CASE target.state WHEN %(planned)s THEN %(triggered)s ELSE target.state END
FROM unnest(%(targets)s::bigint[], %(look_again_at)s::timestamptz[]) AS step(target_id, look_again_at)
WHERE target.id = step.target_id
"""
# What the claim moved, moved back; not where a fact has moved the target on meanwhile.
_GIVE_BACK = """
WITH never_left AS (DELETE FROM renewal_attempt WHERE id = ANY(%(attempts)s) RETURNING target_id, number)
UPDATE renewal_target target
SET attempts_made = never_left.number - 1, next_step_at = %(retry_at)s,
    triggered_at = CASE WHEN never_left.number > 1 THEN target.triggered_at END,
    state = CASE WHEN never_left.number = 1 AND target.state = %(triggered)s THEN %(planned)s ELSE target.state END
FROM never_left
WHERE target.id = never_left.target_id AND target.attempts_made = never_left.number
  AND target.next_step_at IS NOT NULL
"""


@dataclass(frozen=True)
class TickReport:
    """What one tick did. `triggered`, `in_doubt` and `never_left` count messages by their fate."""

    progress: Progress
    triggered: int = 0
    in_doubt: int = 0
    never_left: int = 0
    escalated: int = 0
    finished: bool = False


def tick(campaign: Campaign, now: datetime, channel: TriggerChannel) -> TickReport | None:
    """Run one tick; return None when another tick of this campaign is not over.

    At most `campaign.triggers_per_tick` triggers leave, and while the channel is in trouble fewer or none; the rest is
    due at a later tick.
    """
    with session_locks.held(session_locks.key_of(f"tick of campaign {campaign.pk}")) as alone:
        return _tick(campaign, now, channel) if alone else None


def _tick(campaign: Campaign, now: datetime, channel: TriggerChannel) -> TickReport:
    progress = observe(campaign, now)
    if campaign.state != CampaignState.RUNNING:
        return TickReport(progress)
    messages: list[TriggerMessage] = []
    escalated = 0
    if room := trouble.room(Channel.MQTT, campaign.triggers_per_tick, now):
        with transaction.atomic():
            messages, escalated = _claim(campaign, room, now)
    deliveries = channel.send(messages) if messages else []
    _write_down(deliveries, now)
    Campaign.objects.filter(pk=campaign.pk).update(ticked_at=now)
    fates = Counter(delivery.fate for delivery in deliveries)
    return TickReport(
        progress,
        triggered=fates[Fate.TAKEN],
        in_doubt=fates[Fate.IN_DOUBT],
        never_left=fates[Fate.NEVER_LEFT],
        escalated=escalated,
        finished=_finish_if_done(campaign, now),
    )


def _claim(campaign: Campaign, most: int, now: datetime) -> tuple[list[TriggerMessage], int]:
    rules = Rules(campaign.retry_interval, campaign.max_attempts)
    due = list(
        Target.objects.filter(campaign=campaign)
        .due(now)
        .exclude(state=TargetState.ESCALATED)
        .select_related("device", "certificate")
        .only(
            "state",
            "attempts_made",
            "campaign_id",
            "triggered_at",
            "device__mqtt_id",
            "device__serial",
            "certificate__not_after",
        )
        .order_by("next_step_at")
        .select_for_update(skip_locked=True, of=("self",))[:most]
    )
    steps = [(target, next_step(_evidence(target), rules, now)) for target in due]
    triggers = [(target, step) for target, step in steps if isinstance(step, Trigger)]
    escalated = [target for target, step in steps if isinstance(step, Escalate)]
    Target.objects.filter(pk__in=[target.pk for target in escalated]).update(
        state=TargetState.ESCALATED, escalated_at=now, next_step_at=None
    )
    attempts = _claim_attempts(triggers, now)
    return [_message(campaign, attempt) for attempt in attempts], len(escalated)


def _evidence(target: Target) -> Evidence:
    return Evidence(target.attempts_made, bool(target.device.mqtt_id), target.certificate.not_after)


def _claim_attempts(triggers: list[tuple[Target, Trigger]], now: datetime) -> list[Attempt]:
    if not triggers:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            _MARK_TRIGGERED,
            {
                "targets": [target.pk for target, _step in triggers],
                "look_again_at": [step.look_again_at for _target, step in triggers],
                "now": now,
                "planned": TargetState.PLANNED.value,
                "triggered": TargetState.TRIGGERED.value,
            },
        )
    return Attempt.objects.bulk_create(
        [
            Attempt(target=target, number=target.attempts_made + 1, channel=Channel.MQTT, at=now)
            for target, _step in triggers
        ],
        batch_size=1000,
    )


def _message(campaign: Campaign, attempt: Attempt) -> TriggerMessage:
    fleet = campaign.fleet.slug
    return TriggerMessage(
        attempt=attempt.pk,
        fleet=fleet,
        device=attempt.target.device.serial,
        address=attempt.target.device.mqtt_id,
        campaign=campaign.pk,
        renew_before=attempt.target.certificate.not_after.isoformat(),
        est_url=f"{settings.PUBLIC_DEVICE_URL}/.well-known/est/{fleet}",
        valid_until=attempt.target.certificate.not_after,
    )


def _write_down(deliveries: list[Delivery], now: datetime) -> None:
    """Write down what became of each message; nothing when there are none."""
    if not deliveries:
        return
    retry_at = trouble.note(Channel.MQTT, deliveries, now)
    outcomes.write_down(deliveries)
    never_left = [delivery.attempt for delivery in deliveries if delivery.fate == Fate.NEVER_LEFT]
    if never_left:
        _give_back(never_left, retry_at)


def _give_back(attempts: list[int], retry_at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _GIVE_BACK,
            {
                "attempts": attempts,
                "retry_at": retry_at,
                "planned": TargetState.PLANNED.value,
                "triggered": TargetState.TRIGGERED.value,
            },
        )


def _finish_if_done(campaign: Campaign, now: datetime) -> bool:
    if Target.objects.filter(campaign=campaign).open().exists():
        return False
    try:
        planning.finish(campaign, now=now, actor=SYSTEM)
    except CampaignError:
        # A person has just paused it.
        return False
    return True
