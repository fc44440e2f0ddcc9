"""One tick of a campaign: read the facts, claim what is due, send it, write down what became of it.

A target is claimed before it is sent, by moving its next step: a crash in between costs the device one wait, never a
second trigger in the same wait. Ticks of one campaign may overlap, since each row is claimed by one of them only.
"""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

from inventory.audit.record import SYSTEM
from renewal.campaigns import planning
from renewal.campaigns.ladder import Escalate, Evidence, Rules, Trigger, next_step
from renewal.campaigns.observing import Progress, observe
from renewal.campaigns.planning import CampaignError
from renewal.channels.messages import Delivery, TriggerChannel, TriggerMessage
from renewal.models import Attempt, AttemptOutcome, Campaign, CampaignState, Channel, Target, TargetState

_MARK_TRIGGERED = """
UPDATE renewal_target target
SET attempts_made = target.attempts_made + 1, next_step_at = step.look_again_at,
    triggered_at = coalesce(target.triggered_at, %(now)s),
    state = CASE target.state WHEN %(planned)s THEN %(triggered)s ELSE target.state END
FROM unnest(%(targets)s::bigint[], %(look_again_at)s::timestamptz[]) AS step(target_id, look_again_at)
WHERE target.id = step.target_id
"""


@dataclass(frozen=True)
class TickReport:
    """What one tick did."""

    progress: Progress
    triggered: int
    failed: int
    escalated: int
    finished: bool


def tick(campaign: Campaign, now: datetime, channel: TriggerChannel) -> TickReport:
    """Run one tick. At most `campaign.triggers_per_tick` triggers leave; the rest is due at the next tick."""
    progress = observe(campaign)
    if campaign.state != CampaignState.RUNNING:
        return TickReport(progress, 0, 0, 0, finished=False)
    with transaction.atomic():
        messages, escalated = _claim(campaign, now)
    deliveries = channel.send(messages) if messages else []
    _write_down(deliveries)
    Campaign.objects.filter(pk=campaign.pk).update(ticked_at=now)
    failed = sum(not delivery.accepted for delivery in deliveries)
    return TickReport(progress, len(deliveries) - failed, failed, escalated, finished=_finish_if_done(campaign, now))


def _claim(campaign: Campaign, now: datetime) -> tuple[list[TriggerMessage], int]:
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
            "certificate__not_after",
        )
        .order_by("next_step_at")
        .select_for_update(skip_locked=True, of=("self",))[: campaign.triggers_per_tick]
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
        mqtt_id=attempt.target.device.mqtt_id,
        campaign=campaign.pk,
        renew_before=attempt.target.certificate.not_after.isoformat(),
        est_url=f"{settings.PUBLIC_DEVICE_URL}/.well-known/est/{fleet}",
    )


def _write_down(deliveries: list[Delivery]) -> None:
    accepted = [delivery.attempt for delivery in deliveries if delivery.accepted]
    Attempt.objects.filter(pk__in=accepted).update(outcome=AttemptOutcome.SENT)
    reasons = {delivery.detail for delivery in deliveries if not delivery.accepted}
    for reason in reasons:
        failed = [delivery.attempt for delivery in deliveries if not delivery.accepted and delivery.detail == reason]
        Attempt.objects.filter(pk__in=failed).update(outcome=AttemptOutcome.FAILED, detail=reason)


def _finish_if_done(campaign: Campaign, now: datetime) -> bool:
    if Target.objects.filter(campaign=campaign).open().exists():
        return False
    try:
        planning.finish(campaign, now=now, actor=SYSTEM)
    except CampaignError:
        # Another tick was first, or a person has just paused it.
        return False
    return True
