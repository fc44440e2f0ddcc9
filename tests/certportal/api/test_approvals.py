"""Proposals over the API: read by whoever may see them, decided on by another person who has read them."""

import pytest
from django.utils import timezone

from certportal.api.tokens import create_token
from certportal.models import User
from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent, Case, Proposal
from tests.certportal.api.conftest import client_with
from tests.certportal.api.test_cases import opened, refusal, revoked  # noqa: F401

APPROVALS = "/api/v1/approvals/"
PERMISSIONS = ("cases:write", "approvals:write")


@pytest.fixture
def ann(client_for):
    return client_for(*PERMISSIONS, permissions="", name="ann")


@pytest.fixture
def bob(client_for):
    return client_for(*PERMISSIONS, permissions="", name="bob")


@pytest.fixture
def proposal(ann, revoked) -> dict:  # noqa: F811
    opened(ann, revoked)
    return ann.get(APPROVALS, {"state": "waiting"}).json()["results"][0]


def ended(client, proposal: dict, how: str = "decide", *, seen: str = "*", **said: object):
    body = {"approves": True, **said} if how == "decide" else said
    headers = {"If-Match": seen} if seen else {}
    return client.post(f"{APPROVALS}{proposal['id']}/{how}/", body, format="json", headers=headers)


def test_what_waits_is_read_whole_and_approved_by_another(ann, bob, proposal):
    assert (proposal["kind"], proposal["proposer"], proposal["decider"]) == ("device:case:verdict", "ann", "")
    assert proposal["payload"]["verdict"] == "cleared"
    read = bob.get(f"{APPROVALS}{proposal['id']}/")
    answer = ended(bob, proposal, seen=read.headers["ETag"], note="Seen.")
    assert answer.status_code == 200, answer.content
    assert [answer.json()[name] for name in ("state", "decider", "note")] == ["approved", "bob", "Seen."]
    assert Case.objects.get().outcome == "cleared"
    assert AuditEvent.objects.get(action=AuditAction.PROPOSAL_APPROVED).details["sha256"] == proposal["sha256"]
    assert refusal(ended(bob, proposal), 409)["code"] == "proposal_refused"


def test_nobody_approves_the_own_proposal_or_what_was_not_read(ann, bob, proposal):
    assert "second person" in refusal(ended(ann, proposal), 409)["message"]
    assert refusal(ended(bob, proposal, seen=""), 428)
    assert refusal(ended(bob, proposal, seen='"other"'), 412)
    assert Proposal.objects.waiting().count() == 1


def test_another_token_of_the_proposer_decides_nothing(ann, proposal):
    owner = User.objects.get(username="ann")
    _, secret = create_token(owner, name="second", scopes=PERMISSIONS, lifetime=None, now=timezone.now(), actor=SYSTEM)
    assert refusal(ended(client_with(secret), proposal), 409)
    assert Proposal.objects.waiting().count() == 1


def test_the_proposer_takes_it_back_and_nobody_else(ann, bob, proposal):
    assert refusal(ended(bob, proposal, "withdraw"), 409)
    assert ended(ann, proposal, "withdraw", note="Wrong one.").json()["state"] == "withdrawn"
    assert Case.objects.get().outcome == "withdrawn"


def test_deciding_needs_the_permission_of_the_kind_and_the_scope(client_for, proposal):
    viewer = client_for(*PERMISSIONS, permissions="view_", name="eve")
    assert "inventory.decide_case" in refusal(ended(viewer, proposal), 403)["message"]
    reader = client_for("approvals", permissions="", name="cat")
    assert refusal(ended(reader, proposal), 403)
    assert refusal(ended(client_for(*PERMISSIONS, permissions="decide_", name="dan"), proposal), 403)
    assert Proposal.objects.waiting().count() == 1
