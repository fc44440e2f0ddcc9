"""How devices come to their next certificate: one-time secrets, and campaigns, work orders of the field."""

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
from renewal.models.device_note import DeviceNote
from renewal.models.healing import Healing
from renewal.models.refusal_tally import RefusalTally
from renewal.models.secret import EnrolmentProtocol, EnrolmentSecret
from renewal.models.team import Team
from renewal.models.ticket import Ticket
from renewal.models.work_order import Outcome, WorkOrder

__all__ = [
    "Attempt",
    "AttemptOutcome",
    "Campaign",
    "CampaignState",
    "Channel",
    "ChannelTrouble",
    "CoverageCount",
    "DeviceNote",
    "EnrolmentProtocol",
    "EnrolmentSecret",
    "Healing",
    "Outcome",
    "RefusalTally",
    "Target",
    "TargetMove",
    "TargetReason",
    "TargetState",
    "Team",
    "Ticket",
    "WorkOrder",
]
