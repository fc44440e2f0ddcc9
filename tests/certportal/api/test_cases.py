"""Cases over the API: one person opens, another decides, and a second token makes nobody a second person."""

from collections.abc import Mapping

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from certportal.models import User
from inventory.models import AuditAction, AuditEvent, Case, Certificate, Device
from inventory.models.case import Outcome
from tests import factories
from tests.factories import DAY

CASES = "/api/v1/cases/"


@pytest.fixture
def revoked(db) -> Device:
    found = factories.enrolled(factories.device("STOLEN-1"), expires_in=100 * DAY, now=timezone.now())
    Certificate.objects.of_devices().update(
        state="revoked", revoked_at=timezone.now(), revocation_reason="keyCompromise"
    )
    return found.device


@pytest.fixture
def ann(client_for):
    return client_for("cases:write", permissions="", name="ann")


@pytest.fixture
def bob(client_for):
    return client_for("cases:write", permissions="", name="bob")


def opened(client, device: Device, changes: Mapping[str, object] | None = None):
    body = {"device": device.pk, "finding": "Found in a drawer.", "proposal": "cleared", **(changes or {})}
    return client.post(CASES, body, format="json")


def decided(client, case: int, **said: object):
    return client.post(f"{CASES}{case}/decide/", {"agrees": True, **said}, format="json")


def refusal(answer, status: int) -> dict:
    assert answer.status_code == status, answer.content
    return answer.json()["error"]


def test_one_opens_and_another_clears(ann, bob, revoked):
    made = opened(ann, revoked)
    assert made.status_code == 201, made.content
    case = made.json()
    assert (case["device"]["serial"], case["opened_by"], case["outcome"]) == ("STOLEN-1", "ann", "")
    assert ann.get(made.headers["Location"]).json() == case
    assert ann.get(CASES, {"state": "waiting"}).json()["results"] == [case]

    closed = decided(bob, case["id"], note="Agreed.").json()
    assert (closed["outcome"], closed["closed_by"], closed["note"]) == ("cleared", "bob", "Agreed.")
    assert bob.get(CASES, {"state": "waiting"}).json()["results"] == []
    assert bob.get(CASES, {"state": "cleared", "device": "STOLEN-1"}).json()["results"] == [closed]
    told = AuditEvent.objects.filter(action__in=[AuditAction.CASE_OPENED, AuditAction.CASE_CLOSED]).order_by("id")
    assert [event.actor for event in told] == ["ann: test", "bob: test"]


def test_who_opened_by_a_token_is_no_second_person_in_the_browser(ann, revoked):
    case = opened(ann, revoked).json()["id"]
    browser = APIClient()
    browser.force_login(User.objects.get(username="ann"))
    assert "You opened this case" in refusal(decided(browser, case), 409)["message"]
    assert Case.objects.get().closed_at is None


def test_a_case_that_is_sent_back_changes_nothing_and_another_may_be_opened(ann, bob, revoked):
    first = opened(ann, revoked).json()["id"]
    assert refusal(opened(bob, revoked), 409)["code"] == "case_refused"
    assert decided(bob, first, agrees=False).json()["outcome"] == Outcome.DISMISSED
    assert refusal(decided(bob, first), 409)["message"].startswith("The case was closed by bob")
    assert opened(bob, revoked, {"proposal": "retired"}).status_code == 201


def test_what_asks_for_nothing_sensible_is_refused_by_field(ann, bob, revoked):
    alive = factories.enrolled(now=timezone.now()).device
    assert refusal(opened(ann, alive), 409)["code"] == "case_refused"
    for field, value in {"device": 10**9, "finding": "", "proposal": "burned", "colour": 1}.items():
        assert list(refusal(opened(ann, revoked, {field: value}), 400)["details"]) == [field]
    case = opened(ann, revoked).json()["id"]
    assert list(refusal(decided(bob, case, agrees="yes"), 400)["details"]) == ["agrees"]
    assert refusal(decided(bob, 10**9), 404)["code"] == "not_found"


def test_deciding_needs_its_own_permission(ann, revoked, client_for):
    case = opened(ann, revoked).json()["id"]
    viewer = client_for("cases:write", permissions="view_", name="eve")
    assert "inventory.decide_case" in refusal(decided(viewer, case), 403)["message"]
    assert refusal(opened(viewer, revoked), 403)
    assert refusal(decided(client_for("cases", permissions="", name="cat"), case), 403)
