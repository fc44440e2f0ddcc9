"""A large campaign starts by the word of two people, as it was proposed and not otherwise."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission

from inventory.approvals.deciding import Refused, decide
from inventory.audit.record import SYSTEM, Actor
from inventory.models import Proposal, ProposalState
from inventory.models.audit import ActorKind
from renewal.campaigns import agreeing, planning, settings
from renewal.campaigns.planning import CampaignError
from renewal.campaigns.settings import Pace, Settings
from renewal.models import Campaign, CampaignState
from tests.factories import DAY, NOW, person
from tests.renewal.rows import meters, planned_campaign

pytestmark = pytest.mark.django_db


@pytest.fixture
def large(monkeypatch) -> Campaign:
    """A planned campaign of three devices where two are many."""
    monkeypatch.setattr("django.conf.settings.TWO_PEOPLE_ABOVE", 2)
    meters(3)
    return planned_campaign()


@pytest.fixture
def proposal(large) -> Proposal:
    made = agreeing.propose_start(large, reason="winter is near", now=NOW, actor=person("anna", "change_campaign"))
    assert isinstance(made, Proposal)
    return made


def approved(proposal: Proposal) -> Proposal | Refused:
    return decide(proposal.pk, approves=True, note="", now=NOW + DAY, actor=person("bob", "approve_campaign"))


def state(campaign: Campaign) -> str:
    campaign.refresh_from_db()
    return campaign.state


def test_nobody_starts_a_large_campaign_alone(large):
    with pytest.raises(CampaignError, match="more than 2 devices is started by two people"):
        planning.start(large, now=NOW, actor=SYSTEM)
    assert state(large) == CampaignState.PLANNED


def test_it_starts_when_another_person_approves(large, proposal):
    assert isinstance(approved(proposal), Proposal)
    assert state(large) == CampaignState.RUNNING
    assert large.started_at == NOW + DAY


def test_neither_the_proposer_nor_who_has_no_right_approves(large, proposal):
    get_user_model().objects.get(pk=proposal.proposer_id).user_permissions.add(
        Permission.objects.get(codename="approve_campaign")
    )
    herself = Actor(ActorKind.USER, "anna", user_id=proposal.proposer_id)
    for actor in (herself, person("carl", "change_campaign")):
        assert isinstance(decide(proposal.pk, approves=True, note="", now=NOW, actor=actor), Refused)
    assert state(large) == CampaignState.PLANNED


@pytest.mark.parametrize("change", ["pace", "targets", "stopped"])
def test_what_was_changed_since_it_was_proposed_is_not_started(large, proposal, change):
    if change == "pace":
        settings.adjust(large, Settings(Pace(1_000_000)), now=NOW, actor=SYSTEM)
    elif change == "targets":
        large.targets.first().delete()
    else:
        planning.stop(large, now=NOW, actor=SYSTEM)
    before = state(large)
    assert isinstance(approved(proposal), Refused)
    assert state(large) == before
    proposal.refresh_from_db()
    assert proposal.state == ProposalState.WAITING


def test_a_paused_large_campaign_is_started_again_by_one(large, proposal):
    approved(proposal)
    large.refresh_from_db()
    planning.pause(large, now=NOW + DAY, actor=SYSTEM)
    planning.start(large, now=NOW + 2 * DAY, actor=SYSTEM)
    assert state(large) == CampaignState.RUNNING


def test_a_small_one_needs_nobody_else(large, monkeypatch):
    monkeypatch.setattr("django.conf.settings.TWO_PEOPLE_ABOVE", 3)
    planning.start(large, now=NOW, actor=SYSTEM)
    assert state(large) == CampaignState.RUNNING
