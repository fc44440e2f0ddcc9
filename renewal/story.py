"""What campaigns add to the story of a device."""

from django.utils.translation import gettext as _

from inventory.models import Device
from inventory.story import Moment, Outlook
from renewal.models import Attempt, AttemptOutcome, CampaignState, Target, TargetState

_MOST_ATTEMPTS = 100


def past(device: Device) -> list[Moment]:
    """Return the messages sent to a device and the campaigns that gave up on it. Two queries."""
    attempts = (
        Attempt.objects.filter(target__device=device)
        .select_related("target__campaign")
        .order_by("-at")[:_MOST_ATTEMPTS]
    )
    moments = [_of_attempt(attempt) for attempt in attempts]
    for target in Target.objects.filter(device=device, escalated_at__isnull=False).select_related("campaign"):
        assert target.escalated_at is not None
        why = _("no answer to %(attempts)s messages") % {"attempts": target.attempts_made}
        moments.append(Moment(target.escalated_at, _("escalated"), "late", target.campaign.name, why))
    return moments


def _of_attempt(attempt: Attempt) -> Moment:
    failed = attempt.outcome == AttemptOutcome.FAILED
    title = _("trigger %(number)s over %(channel)s") % {
        "number": attempt.number,
        "channel": attempt.get_channel_display(),
    }
    why = ", ".join(filter(None, [str(attempt.get_outcome_display()), attempt.detail]))
    return Moment(attempt.at, title, "late" if failed else "neutral", attempt.target.campaign.name, why)


def outlook(device: Device) -> Outlook | None:
    """Say what a running campaign does next to a device; None when none waits for it. One query."""
    target = (
        Target.objects.open()
        .filter(device=device, campaign__state=CampaignState.RUNNING)
        .select_related("campaign")
        .order_by("campaign__due_at")
        .first()
    )
    if target is None:
        return None
    words = {"campaign": target.campaign.name, "attempts": target.attempts_made, "most": target.campaign.max_attempts}
    if target.state == TargetState.PLANNED:
        return Outlook(_("Campaign “%(campaign)s” will send the first trigger.") % words, "good", target.next_step_at)
    if target.state == TargetState.TRIGGERED:
        text = _("Campaign “%(campaign)s” waits for its renewal (trigger %(attempts)s of %(most)s) and tries again.")
        return Outlook(text % words, "attention", target.next_step_at)
    if target.state == TargetState.ESCALATED:
        text = _("Campaign “%(campaign)s” had no answer to %(attempts)s triggers. A person must look at the device.")
        return Outlook(text % words, "late")
    return None
