"""How devices come to their next certificate: one-time secrets, and campaigns with their targets and attempts."""

from renewal.models.campaign import Attempt, AttemptOutcome, Campaign, CampaignState, Channel, Target, TargetState
from renewal.models.coverage import CoverageCount
from renewal.models.refusal_tally import RefusalTally
from renewal.models.secret import EnrolmentProtocol, EnrolmentSecret

__all__ = [
    "Attempt",
    "AttemptOutcome",
    "Campaign",
    "CampaignState",
    "Channel",
    "CoverageCount",
    "EnrolmentProtocol",
    "EnrolmentSecret",
    "RefusalTally",
    "Target",
    "TargetState",
]
