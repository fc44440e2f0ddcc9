"""Large campaigns start by the word of two people: one proposes the start, another approves it."""

from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from inventory.approvals.deciding import Refused, propose
from inventory.approvals.kinds import Overtaken, Payload, Rules
from inventory.audit.record import Actor
from inventory.models import Proposal, ProposalKind
from renewal import target_counts
from renewal.campaigns import planning, settings
from renewal.campaigns.planning import CampaignError
from renewal.models import Campaign

# A campaign that waits longer had better be planned anew: its targets are those of then.
_LIFETIME = timedelta(days=7)


def propose_start(campaign: Campaign, *, reason: str, now: datetime, actor: Actor) -> Proposal | Refused:
    """Propose to start a planned campaign, as it stands now."""
    return propose(
        ProposalKind.CAMPAIGN_START,
        _payload(campaign),
        subject=_subject(campaign),
        title=_("Start campaign “%(name)s”") % {"name": campaign.name},
        reason=reason,
        now=now,
        actor=actor,
        fleet=campaign.fleet_id,
    )


def waiting(campaign: Campaign) -> Proposal | None:
    """Return the proposal to start a campaign that waits for a second person, None when none does. One query."""
    return Proposal.objects.waiting().filter(kind=ProposalKind.CAMPAIGN_START, subject=_subject(campaign)).first()


def _subject(campaign: Campaign) -> str:
    return f"campaign:{campaign.pk}"


def _payload(campaign: Campaign) -> dict[str, Any]:
    columns = settings.of(campaign).columns()
    chosen = {name: value if value is None or isinstance(value, int) else str(value) for name, value in columns.items()}
    return {
        "campaign": campaign.pk,
        "name": campaign.name,
        "fleet": campaign.fleet_id,
        "targets": target_counts.total(campaign),
        "ladder": campaign.ladder,
        "canary": campaign.canary,
        "wave_size": campaign.wave_size,
        "settings": chosen,
    }


def _carry_out(payload: Payload, now: datetime, actor: Actor) -> None:
    campaign = Campaign.objects.select_for_update(no_key=True).get(pk=payload["campaign"])
    if _payload(campaign) != payload:
        raise Overtaken(_("The campaign is not as it was proposed any more; propose its start anew."))
    try:
        planning.start(campaign, now=now, actor=actor, agreed=True)
    except CampaignError as refusal:
        raise Overtaken(str(refusal)) from refusal


RULES = Rules("renewal.change_campaign", "renewal.approve_campaign", _LIFETIME, _carry_out)
