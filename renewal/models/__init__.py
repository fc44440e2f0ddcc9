"""How devices come to their next certificate: one-time secrets, and campaigns with their targets and attempts."""

from renewal.models.campaign import (
    Attempt,
    AttemptOutcome,
    Campaign,
    CampaignState,
    Target,
    TargetMove,
    TargetReason,
    TargetState,
)
from renewal.models.channel import Channel, ChannelTrouble
from renewal.models.coverage import CoverageCount
from renewal.models.refusal_tally import RefusalTally
from renewal.models.secret import EnrolmentProtocol, EnrolmentSecret

__all__ = [
    "Attempt",
    "AttemptOutcome",
    "Campaign",
    "CampaignState",
    "Channel",
    "ChannelTrouble",
    "CoverageCount",
    "EnrolmentProtocol",
    "EnrolmentSecret",
    "RefusalTally",
    "Target",
    "TargetMove",
    "TargetReason",
    "TargetState",
]
