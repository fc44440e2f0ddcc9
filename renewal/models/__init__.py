"""How devices come to their next certificate: one-time secrets, campaigns with their targets, gateways to devices."""

from renewal.models.campaign import Attempt, AttemptOutcome, Campaign, CampaignState, Target, TargetState
from renewal.models.channel import Channel, ChannelTrouble
from renewal.models.coverage import CoverageCount
from renewal.models.gateway import Driver, EarlyReceipt, Gateway, GatewayDay, ReceiptResult
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
    "Driver",
    "EarlyReceipt",
    "EnrolmentProtocol",
    "EnrolmentSecret",
    "Gateway",
    "GatewayDay",
    "ReceiptResult",
    "RefusalTally",
    "Target",
    "TargetState",
]
