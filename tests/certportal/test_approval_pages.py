"""Proposals on pages: what would be done, who wants it, and the decision of another."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from certportal.models import User
from inventory.models import Case, Proposal
from tests.certportal.test_case_pages import open_case, revoked, second  # noqa: F401


@pytest.fixture
def proposal(page, client, revoked) -> Proposal:  # noqa: F811
    open_case(client, revoked)
    return Proposal.objects.get()


def shown(client, proposal: Proposal) -> str:
    return client.get(reverse("admin:inventory_proposal_change", args=[proposal.pk])).content.decode()


def end(client, proposal: Proposal, *buttons: str) -> str:
    address = reverse("admin:inventory_proposal_decide", args=[proposal.pk])
    return client.post(address, {"note": "Seen.", **dict.fromkeys(buttons, "")}, follow=True).content.decode()


def test_a_second_person_reads_the_payload_and_approves(page, client, proposal, second):  # noqa: F811
    assert "STOLEN-1" in page(reverse("admin:inventory_proposal_changelist"))
    own = shown(client, proposal)
    assert "You proposed this" in own and 'name="approve"' not in own and 'name="withdraw"' in own
    assert "You proposed this" in end(client, proposal, "approve")
    client.force_login(second)
    text = shown(client, proposal)
    assert "&quot;verdict&quot;: &quot;cleared&quot;" in text and bytes(proposal.sha256).hex()[:8] in text
    assert "<script>alert" not in text
    # A line each, and none spelled out.
    assert re.search(r"<pre>\{<br>  &quot;.*<br>\}</pre>", text) and "\\u000" not in text
    assert "The proposal has ended: approved and carried out." in end(client, proposal, "approve")
    assert Case.objects.get().outcome == "cleared"


def test_it_is_sent_back_or_taken_back(page, client, proposal):
    assert "The proposal has ended: withdrawn." in end(client, proposal, "withdraw")
    assert Case.objects.get().outcome == "withdrawn"


@pytest.mark.parametrize("buttons", [(), ("approve", "reject")])
def test_without_one_clear_answer_nothing_ends(client, proposal, second, buttons):  # noqa: F811
    client.force_login(second)
    end(client, proposal, *buttons)
    assert Proposal.objects.waiting().count() == 1


def test_who_may_not_decide_is_offered_nothing(client, proposal, viewer: User):
    client.force_login(viewer)
    assert "It waits for somebody who may decide on it." in shown(client, proposal)
    assert "inventory.decide_case" in end(client, proposal, "reject")
    viewer.user_permissions.remove(Permission.objects.get(codename="view_proposal"))
    client.force_login(User.objects.get(pk=viewer.pk))
    address = reverse("admin:inventory_proposal_decide", args=[proposal.pk])
    assert client.post(address, {"reject": ""}).status_code == 403
    assert Proposal.objects.waiting().count() == 1
