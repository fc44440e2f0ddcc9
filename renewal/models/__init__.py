"""How devices come to their next certificate: secrets, campaigns and their rehearsals, gateways, and work orders."""

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
from renewal.models.forecast import CampaignDay, Forecast
from renewal.models.gateway import Driver, EarlyReceipt, Gateway, GatewayDay, ReceiptResult
from renewal.models.healing import Healing
from renewal.models.refusal_tally import RefusalTally
from renewal.models.registration_authority import RegistrationAuthority
from renewal.models.rehearsal import Rehearsal, RehearsalState
from renewal.models.secret import EnrolmentProtocol, EnrolmentSecret
from renewal.models.target_count import TargetCount
from renewal.models.team import Team
from renewal.models.ticket import Ticket
from renewal.models.wave import Wave
from renewal.models.work_order import Outcome, WorkOrder

__all__ = [
    "Attempt",
    "AttemptOutcome",
    "Campaign",
    "CampaignDay",
    "CampaignState",
    "Channel",
    "ChannelTrouble",
    "CoverageCount",
    "DeviceNote",
    "Driver",
    "EarlyReceipt",
    "EnrolmentProtocol",
    "EnrolmentSecret",
    "Forecast",
    "Gateway",
    "GatewayDay",
    "Healing",
    "Outcome",
    "ReceiptResult",
    "RefusalTally",
    "RegistrationAuthority",
    "Rehearsal",
    "RehearsalState",
    "Target",
    "TargetCount",
    "TargetMove",
    "TargetReason",
    "TargetState",
    "Team",
    "Ticket",
    "Wave",
    "WorkOrder",
]
