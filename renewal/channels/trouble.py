"""Channels in trouble: when to try again, with how many messages, and the alert.

Trouble belongs to the broker or to a gateway, not to a device or a campaign: what is down is down for all of them. Each
is named by a key, as `ChannelTrouble.channel` has it.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from inventory.alerts.conditions import Concern
from inventory.models import AlertKind
from renewal.channels.messages import Delivery, Fate
from renewal.models import ChannelTrouble

SHORTEST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(minutes=10)
# As many messages try whether a channel works again: a few, since those in doubt cost their devices an attempt.
PROBE = 10
# A gateway that says "Retry-After" is left alone for so long at most.
_LONGEST_ASKED_FOR = timedelta(hours=6)
# A broker that restarts is nobody's business.
_TOLD_AFTER = timedelta(minutes=5)


def wait_after(tries: int) -> timedelta:
    """Return how long to wait after so many tries in vain (at least one): a minute, doubled up to ten."""
    # Bounded before it is doubled: the longest timedelta is soon reached.
    doublings = min(tries - 1, 10)
    return min(SHORTEST_WAIT * (1 << doublings), LONGEST_WAIT)


def room(key: str, wanted: int, now: datetime) -> int:
    """Return how many of `wanted` messages may go that way now. One query.

    All while it works, none until its next try, a few to try whether it works again.
    """
    trouble = ChannelTrouble.objects.current(now).filter(pk=key).first()
    if trouble is None:
        return wanted
    return 0 if now < trouble.next_try_at else min(wanted, PROBE)


def note(key: str, deliveries: Sequence[Delivery], now: datetime, name: str = "") -> datetime:
    """Record the result of a batch. Return when messages that never left may be tried again.

    What took one message works; what the portal held back says nothing, nor do refusals of numbers by what was in no
    trouble. One query then, up to four when nothing was taken. `name` is what people know it by, if not the broker.
    """
    told = [delivery for delivery in deliveries if not delivery.held]
    if not told:
        return max((each.retry_at for each in deliveries if each.retry_at), default=now + SHORTEST_WAIT)
    if any(delivery.fate == Fate.TAKEN for delivery in told):
        ChannelTrouble.objects.filter(pk=key).delete()
        return now + SHORTEST_WAIT
    # Numbers alone were refused: so it may be. But what was in trouble is not out of it by refusing more.
    if all(delivery.fate == Fate.REFUSED for delivery in told) and not ChannelTrouble.objects.current(now).filter(
        pk=key
    ):
        return now + SHORTEST_WAIT
    [(problem, _count)] = Counter(delivery.detail for delivery in told).most_common(1)
    asked_for = max((each.retry_at for each in told if each.retry_at), default=now)
    with transaction.atomic():
        known = ChannelTrouble.objects.current(now).select_for_update().filter(pk=key).first()
        tries = known.tries + 1 if known else 1
        next_try_at = max(now + wait_after(tries), min(asked_for, now + _LONGEST_ASKED_FOR))
        ChannelTrouble.objects.update_or_create(
            pk=key,
            defaults={
                "name": name,
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
