"""The policies in force, and those that a portal starts with."""

from datetime import datetime, timedelta

from django.db import transaction

from inventory.alerts.escalation import EscalationStep, Level, escalation_steps
from inventory.models import AlertLevel, AlertPolicy, AppliesTo

_DAY = timedelta(days=1)
# A device that is seldom reached needs the longest notice.
_DEFAULTS = {
    AppliesTo.INTERMITTENT: ("Intermittent devices", [90, 60, 30]),
    AppliesTo.DAILY: ("Daily devices", [60, 30, 14]),
    AppliesTo.ALWAYS_ON: ("Devices always on", [30, 14, 7]),
    AppliesTo.PORTAL: ("The portal's own", []),
}
# (repeat every, silence before the next level)
_DEVICE_LEVELS = ((7 * _DAY, 14 * _DAY), (3 * _DAY, 14 * _DAY))
_PORTAL_LEVELS = ((_DAY, _DAY), (_DAY, 7 * _DAY))


def make_defaults() -> int:
    """Make a policy for each class that has none at all, with two levels and nobody on them yet. Return how many."""
    present = set(AlertPolicy.objects.values_list("applies_to", flat=True))
    missing = [applies_to for applies_to in _DEFAULTS if applies_to.value not in present]
    with transaction.atomic():
        for applies_to in missing:
            name, thresholds = _DEFAULTS[applies_to]
            policy = AlertPolicy.objects.create(name=name, applies_to=applies_to, thresholds=thresholds)
            times = _PORTAL_LEVELS if applies_to == AppliesTo.PORTAL else _DEVICE_LEVELS
            AlertLevel.objects.bulk_create(
                AlertLevel(policy=policy, number=number, repeat_every=repeat_every, silence=silence)
                for number, (repeat_every, silence) in enumerate(times, start=1)
            )
    return len(missing)


def escalation_steps_in_force(now: datetime) -> dict[int, list[EscalationStep]]:
    """Return the escalation steps of every enabled policy by its id. One query."""
    by_policy: dict[int, list[Level]] = {}
    levels = AlertLevel.objects.filter(policy__enabled=True).order_by("policy_id", "number")
    for policy, number, repeat_every, silence in levels.values_list("policy_id", "number", "repeat_every", "silence"):
        by_policy.setdefault(policy, []).append(Level(number, repeat_every, silence))
    return {policy: escalation_steps(found, now) for policy, found in by_policy.items()}
