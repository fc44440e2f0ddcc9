"""One tick of a campaign: read the facts, claim what is due, send it, write down what became of it.

What certainly never left is given back: the attempt does not count, and the next try is minutes away. One tick of a
campaign at a time.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from inventory import session_locks
from inventory.audit.record import SYSTEM
from renewal.campaigns import pacing, planning, waves
from renewal.campaigns.claiming import claim, fail_ended, note_budget_used_up
from renewal.campaigns.joining import join
from renewal.campaigns.ladder import Ladder
from renewal.campaigns.observing import Progress, observe
from renewal.campaigns.outcomes import write_down
from renewal.campaigns.planning import CampaignError
from renewal.campaigns.waves import NOTHING_SHOWN, Look
from renewal.channels.messages import Fate
from renewal.channels.routes import Way
from renewal.models import Campaign, CampaignState, Channel, Target

# So many messages are sent between two looks at whether somebody has paused the campaign.
_AT_ONCE = 1000
# Between two messages there may be many targets that are put off, or go over to another channel.
_MOST_LOOKS = 50
# Steps that send nothing are no burden to anybody.
_MOST_WITHOUT_MESSAGE = 10_000

Route = Callable[[Channel], Way | None]
"""The way over which a channel's messages go, None for a channel that nobody has set up."""


@dataclass(frozen=True)
class TickReport:
    """What one tick did. `fates` counts messages; `left_to_people`, targets for which no message was left.

    `looked`: what the answers so far have brought about.
    """

    progress: Progress
    fates: Counter[Fate] = field(default_factory=Counter)
    left_to_people: int = 0
    finished: bool = False
    looked: Look = NOTHING_SHOWN


def tick(campaign: Campaign, now: datetime, route: Route) -> TickReport | None:
    """Run one tick; return None when another tick of this campaign is not over.

    As many messages leave as the campaign's pace allows, and over a channel in trouble fewer or none; the rest is due
    at a later tick.
    """
    with session_locks.held(planning.tick_lock(campaign)) as alone:
        return _tick(campaign, now, route) if alone else None


def _tick(campaign: Campaign, now: datetime, route: Route) -> TickReport:
    # Since it was read somebody may have paused and resumed it: its clock is another then.
    campaign = Campaign.objects.select_related("fleet").get(pk=campaign.pk)
    progress = observe(campaign, now)
    if campaign.state != CampaignState.RUNNING:
        return TickReport(progress)
    ladder = Ladder.from_json(campaign.ladder)
    join(campaign, ladder, now)
    looked = waves.look(campaign, ladder, now)
    if looked.breaches:
        return TickReport(progress, looked=looked)
    # Where the pace is short, who was asked before goes before who was not: else nobody would come to the end of the
    # ladder until all were asked, and no wave to its evidence.
    ways = {channel: way for channel in ladder.later_first if (way := route(channel))}
    usable = frozenset(ways)
    left_to_people = fail_ended(campaign, now)
    left_to_people += claim(campaign, ladder, None, usable, _MOST_WITHOUT_MESSAGE, now).escalated
    for channel in ladder.channels:
        if channel not in ways:
            left_to_people += claim(campaign, ladder, channel, usable, _MOST_WITHOUT_MESSAGE, now).escalated
    room = pacing.room(campaign.triggers_per_minute, campaign.allowance, campaign.ticked_at, now)
    fates: Counter[Fate] = Counter()
    for channel, way in ways.items():
        most = way.room(_within_budget(campaign, channel, room.messages - fates.total()), now)
        for _look in range(_MOST_LOOKS):
            if most <= 0:
                break
            at_once = min(most, _AT_ONCE)
            claims = claim(campaign, ladder, channel, usable, at_once, now)
            left_to_people += claims.escalated
            if claims.messages:
                deliveries = way.send(claims.messages)
                write_down(campaign, channel, deliveries, way.note(deliveries, now), now)
                fates.update(delivery.fate for delivery in deliveries)
            if claims.looked_at < at_once:
                break
            most = min(most - len(claims.messages), way.room(most, now))
    if campaign.sms_left == 0 and waves.due(campaign, now):
        note_budget_used_up(campaign, now)
    Campaign.objects.filter(pk=campaign.pk).update(ticked_at=now, allowance=room.after(fates.total()))
    return TickReport(progress, fates, left_to_people, _finish_if_done(campaign, now), looked)


def _within_budget(campaign: Campaign, channel: Channel, most: int) -> int:
    """Return how many of `most` messages may leave over a channel: only SMS cost."""
    left = campaign.sms_left
    return most if channel != Channel.SMS or left is None else min(most, left)


def _finish_if_done(campaign: Campaign, now: datetime) -> bool:
    if campaign.joins_within is not None or Target.objects.filter(campaign=campaign).open().exists():
        return False
    try:
        planning.finish(campaign, now=now, actor=SYSTEM)
    except CampaignError:
        # A person has just paused it.
        return False
    return True
