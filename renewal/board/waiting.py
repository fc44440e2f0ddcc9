"""What each open target waits for: one answer a target, so that the numbers add up to the open ones."""

from datetime import datetime
from typing import Any

from django.db.models import Case, CharField, Count, F, Q, QuerySet, TextChoices, Value, When
from django.utils.translation import gettext_lazy as _

from renewal.models import Campaign, Channel, Target, TargetReason, TargetState


class Waiting(TextChoices):
    """What an open target waits for, in the order in which a campaign takes them; the last ones wait for a person."""

    NOT_OPEN = "not_open", _("in a wave that is not open yet")
    NO_BUDGET = "no_budget", _("waits for an SMS, and the budget is used up")
    NOT_ASKED = "not_asked", _("not asked yet")
    ASLEEP = "asleep", _("asleep, the next message waits for the wake that is expected")
    MQTT = "mqtt", _("asked over MQTT, no answer yet")
    SMS = "sms", _("asked by SMS, no answer yet")
    WEBHOOK = "webhook", _("asked over its webhook, no answer yet")
    ACKNOWLEDGED = "acknowledged", _("has the message, did not ask for its certificate yet")
    REFUSED = "refused", _("asked for its certificate and was refused")
    UNUSED = "unused", _("has its new certificate, did not use it yet")
    NEVER_USED = "never_used", _("never used its new certificate")
    NO_ANSWER = "no_answer", _("answered over no channel")
    NO_CHANNEL = "no_channel", _("no channel reaches it")
    MISSED = "missed", _("its certificate ended first")


def targets_by_waiting(campaigns: QuerySet[Campaign] | list[Campaign]) -> QuerySet[Any]:
    """Return the open targets of `campaigns`, each with what it is `waiting` for."""
    state = TargetState
    asked = Q(state=state.TRIGGERED)
    no_budget = Q(
        channel=Channel.SMS, campaign__sms_budget__isnull=False, campaign__sms_used__gte=F("campaign__sms_budget")
    )
    steps = [
        When(state=state.FAILED, then=Value(Waiting.MISSED)),
        When(state=state.ESCALATED, reason=TargetReason.UNUSED, then=Value(Waiting.NEVER_USED)),
        When(state=state.ESCALATED, reason=TargetReason.NO_CHANNEL, then=Value(Waiting.NO_CHANNEL)),
        When(state=state.ESCALATED, then=Value(Waiting.NO_ANSWER)),
        When(state=state.ISSUED, then=Value(Waiting.UNUSED)),
        When(~Q(refusal=""), then=Value(Waiting.REFUSED)),
        When(state=state.ACKNOWLEDGED, then=Value(Waiting.ACKNOWLEDGED)),
        When(no_budget, then=Value(Waiting.NO_BUDGET)),
        When(state=state.PLANNED, next_step_at=None, then=Value(Waiting.NOT_OPEN)),
        When(wake_expected_at__isnull=False, then=Value(Waiting.ASLEEP)),
        When(asked & Q(asked_over=Channel.SMS), then=Value(Waiting.SMS)),
        When(asked & Q(asked_over=Channel.WEBHOOK), then=Value(Waiting.WEBHOOK)),
        When(asked, then=Value(Waiting.MQTT)),
    ]
    waiting = Case(*steps, default=Value(Waiting.NOT_ASKED), output_field=CharField())
    return Target.objects.open().filter(campaign__in=campaigns).annotate(waiting=waiting)


def counts(campaign: Campaign) -> dict[Waiting, int]:
    """Return how many open targets of a campaign wait for what, without the zeros. One query."""
    rows = targets_by_waiting([campaign]).order_by().values_list("waiting").annotate(number=Count("pk"))
    found = dict(rows)
    return {waiting: found[waiting] for waiting in Waiting if waiting in found}


def most_awake_by(campaign: Campaign, asleep: int) -> datetime | None:
    """Return when nine in ten of the `asleep` should have woken, None when none are asleep any more. One query."""
    wakes = targets_by_waiting([campaign]).filter(waiting=Waiting.ASLEEP).order_by("wake_expected_at")
    place = -(-asleep * 9 // 10) - 1
    return wakes.values_list("wake_expected_at", flat=True)[place : place + 1].first()
