"""What campaigns add to the stories of devices, and the story of a campaign itself."""

from datetime import UTC, datetime

from django.db.models.functions import Greatest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from inventory.devices.timeline import Moment, Outlook
from inventory.models import Device
from renewal.models import (
    Attempt,
    AttemptOutcome,
    Campaign,
    CampaignState,
    Outcome,
    Target,
    TargetMove,
    TargetReason,
    TargetState,
    WorkOrder,
)
from renewal.models.campaign import GIVEN_UP_STATES

_MOST_ATTEMPTS = 100
# The moves that nothing else on a device's page tells of.
_TOLD = {
    TargetState.ACKNOWLEDGED: "neutral",
    TargetState.ESCALATED: "late",
    TargetState.FAILED: "late",
    TargetState.WITHDRAWN: "neutral",
}


def past(device: Device) -> list[Moment]:
    """Return the messages sent to a device, what campaigns concluded of it, and its work orders. Three queries."""
    attempts = (
        Attempt.objects.filter(target__device=device)
        .select_related("target__campaign")
        .order_by("-at")[:_MOST_ATTEMPTS]
    )
    moves = (
        TargetMove.objects.filter(target__device=device, state__in=_TOLD)
        .select_related("target__campaign")
        .order_by("-id")[:_MOST_ATTEMPTS]
    )
    orders = WorkOrder.objects.filter(device=device).select_related("team")
    return [
        *map(_of_attempt, attempts),
        *map(_of_move, moves),
        *(each for order in orders for each in _of_order(order)),
    ]


def _of_order(order: WorkOrder) -> list[Moment]:
    moments = [Moment(order.opened_at, _("work order opened"), "attention", order.team.name if order.team else "")]
    if order.closed_at is not None:
        title = _("work order closed: %(outcome)s") % {"outcome": order.get_outcome_display()}
        good = order.outcome in {Outcome.RENEWED, Outcome.RENEWED_ON_SITE}
        replaced = _("replaced by %(serial)s") % {"serial": order.replaced_by} if order.replaced_by else ""
        why = ", ".join(filter(None, [order.note, replaced]))
        moments.append(Moment(order.closed_at, title, "good" if good else "neutral", order.closed_by, why))
    return moments


def latest(campaign: Campaign, most: int) -> list[tuple[Device, Moment]]:
    """Return the last things that happened to the targets of a campaign, newest first. Two queries."""
    # Written in the order of time: their keys are an index of it.
    attempts = Attempt.objects.filter(target__campaign=campaign).select_related("target__device", "target__campaign")
    happened = [(attempt.target.device, _of_attempt(attempt)) for attempt in attempts.order_by("-pk")[:most]]
    # Of the newest moments each belongs to one of the targets whose own newest moment is among as many.
    newest = Greatest("issued_at", "confirmed_at", "escalated_at")
    targets = campaign.targets.annotate(newest=newest).filter(newest__isnull=False).select_related("device")
    for target in targets.order_by("-newest", "-pk")[:most]:
        happened += [(target.device, moment) for moment in _of_target(target)]
    return sorted(happened, key=lambda pair: pair[1].at, reverse=True)[:most]


def _of_move(move: TargetMove) -> Moment:
    title, why = move.get_state_display(), move.get_reason_display()
    return Moment(move.at, title, _TOLD[TargetState(move.state)], move.target.campaign.name, why)


def _of_target(target: Target) -> list[Moment]:
    moments = []
    # The later step first: when both were found in one look, it stands above.
    if target.confirmed_at:
        moments.append(Moment(target.confirmed_at, _("confirmed"), "good"))
    if target.issued_at:
        moments.append(Moment(target.issued_at, _("issued"), "attention"))
    if target.escalated_at:
        why = why_escalated(target, target.device)
        moments.append(Moment(target.escalated_at, _("escalated"), "late", why=why))
    return moments


def _of_attempt(attempt: Attempt) -> Moment:
    doubtful = attempt.outcome in (AttemptOutcome.IN_DOUBT, AttemptOutcome.REFUSED, AttemptOutcome.UNDELIVERED)
    title = _("trigger %(number)s over %(channel)s") % {
        "number": attempt.number,
        "channel": attempt.get_channel_display(),
    }
    wake = attempt.wake_expected_at
    aimed = _("sent for the wake expected at %(wake)s") % {"wake": _minute(wake)} if wake else ""
    why = ", ".join(filter(None, [str(attempt.get_outcome_display()), attempt.detail, aimed]))
    return Moment(attempt.at, title, "late" if doubtful else "neutral", attempt.target.campaign.name, why)


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def outlook(device: Device, now: datetime) -> Outlook | None:
    """Say what a running campaign does next to a device; None when none waits for it. One query."""
    target = (
        Target.objects.open()
        .filter(device=device, campaign__state=CampaignState.RUNNING)
        .select_related("campaign", "certificate")
        .defer("certificate__der")
        .order_by("campaign__due_at")
        .first()
    )
    if target is None:
        return None
    words = {
        "campaign": target.campaign.name,
        "attempts": str(target.attempts_made),
        "next": str(target.attempts_made + 1),
        "channel": target.get_channel_display(),
        "wave": str(target.wave),
        "wake": _minute(target.wake_expected_at) if target.wake_expected_at else "",
    }
    if target.state in GIVEN_UP_STATES:
        text = _("Campaign “%(campaign)s” gave up: %(reason)s. A person must look at the device.")
        return Outlook(text, "late", words=words | {"reason": why_escalated(target, device)})
    due = target.next_step_by_wall_clock
    next_step = due if due and due > now else None
    tone = "good" if target.state == TargetState.PLANNED else "attention"
    return Outlook(_next_step(target, dated=next_step is not None), tone, next_step, words)


def _next_step(target: Target, *, dated: bool) -> str:
    """Return the sentence on a target that the campaign itself moves on; what is due waits for the next tick."""
    if dated and target.wake_expected_at:
        return _(
            "%(channel)s waits for the wake expected at %(wake)s: campaign “%(campaign)s” sends trigger %(next)s "
            "on %(when)s."
        )
    if target.state == TargetState.PLANNED:
        if target.next_step_at is None:
            return _("Campaign “%(campaign)s” sends the first trigger once its wave %(wave)s opens.")
        if dated:
            return _("Campaign “%(campaign)s” sends the first trigger on %(when)s.")
        return _("Campaign “%(campaign)s” sends the first trigger with one of its next ticks.")
    if not target.channel:
        if dated:
            return _("Campaign “%(campaign)s” sent its last trigger (%(attempts)s) and gives up on %(when)s.")
        return _("Campaign “%(campaign)s” sent its last trigger (%(attempts)s) and gives up with its next tick.")
    if target.state == TargetState.ISSUED:
        if dated:
            return _("Renewed, not yet seen with the new certificate; campaign “%(campaign)s” reminds it on %(when)s.")
        return _(
            "Renewed, not yet seen with the new certificate; campaign “%(campaign)s” reminds it with its next tick."
        )
    if dated:
        return ngettext(
            "Campaign “%(campaign)s” sent %(attempts)s trigger so far and asks again over %(channel)s on %(when)s.",
            "Campaign “%(campaign)s” sent %(attempts)s triggers so far and asks again over %(channel)s on %(when)s.",
            target.attempts_made,
        )
    return ngettext(
        "Campaign “%(campaign)s” sent %(attempts)s trigger so far and asks again over %(channel)s next tick.",
        "Campaign “%(campaign)s” sent %(attempts)s triggers so far and asks again over %(channel)s next tick.",
        target.attempts_made,
    )


def why_escalated(target: Target, device: Device) -> str:
    """Return why a campaign gave up on a device, as far as its rows tell."""
    if target.reason == TargetReason.NO_ANSWER:
        words = {"attempts": target.attempts_made}
        text = ngettext("no answer to %(attempts)s trigger", "no answer to %(attempts)s triggers", target.attempts_made)
        return text % words
    if target.reason == TargetReason.NO_CHANNEL and not (device.mqtt_id or device.phone_number):
        return _("it has neither an MQTT id nor a phone number")
    return str(target.get_reason_display())
