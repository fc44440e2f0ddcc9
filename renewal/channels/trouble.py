"""Channels in trouble: when to try again, with how many messages, and the alert.

Trouble belongs to a channel, not to a device or a campaign: a broker that is down is down for all of them.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from inventory.alerts.conditions import Concern
from inventory.models import AlertKind
from renewal.channels.messages import Delivery, Fate
from renewal.models import Channel, ChannelTrouble

SHORTEST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(minutes=10)
# As many messages try whether a channel works again: a few, since those in doubt cost their devices an attempt.
PROBE = 10
# A broker that restarts is nobody's business.
_TOLD_AFTER = timedelta(minutes=5)


def wait_after(tries: int) -> timedelta:
    """Return how long to wait after so many tries in vain (at least one): a minute, doubled up to ten."""
    # Bounded before it is doubled: the longest timedelta is soon reached.
    doublings = min(tries - 1, 10)
    return min(SHORTEST_WAIT * (1 << doublings), LONGEST_WAIT)


def room(channel: Channel, wanted: int, now: datetime) -> int:
    """Return how many of `wanted` messages may go over `channel` now. One query.

    All while it works, none until its next try, a few to try whether it works again.
    """
    trouble = ChannelTrouble.objects.current(now).filter(pk=channel).first()
    if trouble is None:
        return wanted
    return 0 if now < trouble.next_try_at else min(wanted, PROBE)


def note(channel: Channel, deliveries: Sequence[Delivery], now: datetime) -> datetime:
    """Record the result of a batch on `channel`. Return when messages that never left may be tried again.

    A channel that took one message works. One query then, up to four when it took none.
    """
    if any(delivery.fate == Fate.TAKEN for delivery in deliveries):
        ChannelTrouble.objects.filter(pk=channel).delete()
        return now + SHORTEST_WAIT
    [(problem, _count)] = Counter(delivery.detail for delivery in deliveries).most_common(1)
    with transaction.atomic():
        known = ChannelTrouble.objects.current(now).select_for_update().filter(pk=channel).first()
        tries = known.tries + 1 if known else 1
        next_try_at = now + wait_after(tries)
        ChannelTrouble.objects.update_or_create(
            pk=channel,
            defaults={
                "since": known.since if known else now,
                "tries": tries,
                "next_try_at": next_try_at,
                "problem": problem[:200],
            },
        )
    return next_try_at


def concerns(now: datetime) -> list[Concern]:
    """Return the channels that somebody must look after, as alerts know them. One query."""
    return [
        Concern(AlertKind.CHANNEL, str(trouble), trouble.since)
        for trouble in ChannelTrouble.objects.current(now).filter(since__lte=now - _TOLD_AFTER)
    ]
