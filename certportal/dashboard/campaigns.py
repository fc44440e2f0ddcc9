"""Campaigns under way: how many devices have come how far."""

from dataclasses import dataclass
from datetime import datetime

from certportal.dashboard.scope import Scope
from inventory.admin import links
from renewal.admin.campaign import FunnelStep, steps
from renewal.board.funnel import Funnel, funnels
from renewal.models import Campaign, CampaignState
from renewal.models.campaign import UNFINISHED_STATES

_MOST = 4
_ORDER = [
    CampaignState.RUNNING,
    CampaignState.PAUSED,
    CampaignState.PLANNED,
    CampaignState.FINISHED,
    CampaignState.STOPPED,
]


@dataclass(frozen=True)
class Line:
    campaign: Campaign
    funnel: Funnel
    steps: list[FunnelStep]
    done: float
    url: str
    late: bool


def read(scope: Scope, now: datetime) -> list[Line]:
    """Return running campaigns first, then paused, planned and ended ones. Two queries."""
    campaigns = Campaign.objects.of_fleets(scope.fleets)
    latest = list(campaigns.order_by("-created_at")[:50])
    shown = sorted(latest, key=lambda campaign: _ORDER.index(CampaignState(campaign.state)))[:_MOST]
    found = funnels(shown)
    return [_line(campaign, found[campaign.pk], now) for campaign in shown]


def _line(campaign: Campaign, funnel: Funnel, now: datetime) -> Line:
    late = campaign.due_at is not None and campaign.due_at < now and campaign.state in UNFINISHED_STATES
    url = links.page("renewal_campaign", campaign.pk)
    return Line(campaign, funnel, steps(campaign, funnel), funnel.done, url, late)
