"""What campaigns add to the stories of devices, and the story of a campaign itself."""

from datetime import datetime

from django.db.models.functions import Greatest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from inventory.devices.timeline import Moment, Outlook
from inventory.models import Device
from renewal.models import Attempt, AttemptOutcome, Campaign, CampaignState, Outcome, Target, TargetState, WorkOrder

_MOST_ATTEMPTS = 100


def past(device: Device) -> list[Moment]:
    """Return the messages sent to a device, the campaigns that gave up on it, and its work orders. Three queries."""
    attempts = (
        Attempt.objects.filter(target__device=device)
        .select_related("target__campaign")
        .order_by("-at")[:_MOST_ATTEMPTS]
    )
    moments = [_of_attempt(attempt) for attempt in attempts]
    for target in Target.objects.filter(device=device, escalated_at__isnull=False).select_related("campaign"):
        assert target.escalated_at is not None
        moments.append(
            Moment(target.escalated_at, _("escalated"), "late", target.campaign.name, why_escalated(target, device))
        )
    for order in WorkOrder.objects.filter(device=device).select_related("team"):
        moments += _of_order(order)
    return moments


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
    in_doubt = attempt.outcome == AttemptOutcome.IN_DOUBT
    title = _("trigger %(number)s over %(channel)s") % {
        "number": attempt.number,
        "channel": attempt.get_channel_display(),
    }
    why = ", ".join(filter(None, [str(attempt.get_outcome_display()), attempt.detail]))
    return Moment(attempt.at, title, "late" if in_doubt else "neutral", attempt.target.campaign.name, why)


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
        "most": str(target.campaign.max_attempts),
    }
    if target.state == TargetState.ESCALATED:
        text = _("Campaign “%(campaign)s” gave up: %(reason)s. A person must look at the device.")
        return Outlook(text, "late", words=words | {"reason": why_escalated(target, device)})
    next_step = target.next_step_at if target.next_step_at and target.next_step_at > now else None
    tone = "good" if target.state == TargetState.PLANNED else "attention"
    return Outlook(_next_step(target, dated=next_step is not None), tone, next_step, words)


def _next_step(target: Target, *, dated: bool) -> str:
    """Return the sentence on a target that the campaign itself moves on; what is due waits for the next tick."""
    if target.state == TargetState.PLANNED:
        if dated:
            return _("Campaign “%(campaign)s” sends the first trigger on %(when)s.")
        return _("Campaign “%(campaign)s” sends the first trigger with one of its next ticks.")
    if target.attempts_made >= target.campaign.max_attempts:
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
        return _("Campaign “%(campaign)s” sent trigger %(attempts)s of %(most)s and tries again on %(when)s.")
    return _("Campaign “%(campaign)s” sent trigger %(attempts)s of %(most)s and tries again with its next tick.")


def why_escalated(target: Target, device: Device) -> str:
    """Return why a campaign gave up on a device, as far as its rows tell."""
    if not device.mqtt_id:
        return _("it has no MQTT id")
    if target.attempts_made:
        words = {"attempts": target.attempts_made}
        return (
            ngettext("no answer to %(attempts)s trigger", "no answer to %(attempts)s triggers", target.attempts_made)
            % words
        )
    return _("its certificate ended before the first trigger")
