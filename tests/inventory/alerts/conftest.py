from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from inventory.models import AlertLevel, AlertPolicy, AppliesTo, Channel, Recipient
from tests.factories import DAY


def recipient(name: str, channel: str = Channel.EMAIL, address: str = "") -> Recipient:
    address = address or f"{name}@example.org"
    return Recipient.objects.get_or_create(name=name, defaults={"channel": channel, "address": address})[0]


def policy(
    applies_to: str = AppliesTo.INTERMITTENT,
    *,
    thresholds: Sequence[int] = (90, 60, 30),
    recipients: Sequence[str] = ("ops", "boss"),
    repeat_every: timedelta = 7 * DAY,
    silence: timedelta = 14 * DAY,
    **changes: object,
) -> AlertPolicy:
    """A policy with one level for each of `recipients`."""
    portal = applies_to == AppliesTo.PORTAL
    made = AlertPolicy.objects.create(
        name=f"{applies_to} {AlertPolicy.objects.count()}",
        applies_to=applies_to,
        thresholds=[] if portal else list(thresholds),
        **changes,
    )
    for number, name in enumerate(recipients, start=1):
        level = AlertLevel.objects.create(policy=made, number=number, repeat_every=repeat_every, silence=silence)
        level.recipients.add(recipient(name))
    return made


@pytest.fixture
def intermittent(db) -> AlertPolicy:
    """90/60/30 for intermittent devices: ops first, the boss after two weeks of silence, again every week."""
    return policy()


@pytest.fixture
def make_policy(db) -> Callable[..., AlertPolicy]:
    return policy
