"""Cases over the API: one person opens, another decides, and a second token makes nobody a second person."""

from collections.abc import Mapping

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from certportal.models import User
from inventory.models import AuditAction, AuditEvent, Case, Certificate, Device
from inventory.models.case import CaseOutcome
from tests import factories
from tests.factories import DAY
from tests.parallel import at_once

CASES = "/api/v1/cases/"


def stolen(serial: str) -> Device:
    """A device whose certificate is revoked."""
    found = factories.enrolled(factories.device(serial), expires_in=100 * DAY, now=timezone.now())
    Certificate.objects.filter(pk=found.certificate.pk).update(
        state="revoked", revoked_at=timezone.now(), revocation_reason="keyCompromise"
    )
    return found.device


@pytest.fixture
def revoked(db) -> Device:
    return stolen("STOLEN-1")


@pytest.fixture
def ann(client_for):
    return client_for("cases:write", permissions="", name="ann")


@pytest.fixture
def bob(client_for):
    return client_for("cases:write", permissions="", name="bob")


def opened(client, device: Device, changes: Mapping[str, object] | None = None, **headers: str):
    body = {"device": device.pk, "finding": "Found in a drawer.", "proposal": "cleared", **(changes or {})}
    return client.post(CASES, body, format="json", headers=headers)


def decided(client, case: int, *, seen: str | None = "*", key: str | None = None, **said: object):
    headers = {name: value for name, value in {"If-Match": seen, "Idempotency-Key": key}.items() if value}
    return client.post(f"{CASES}{case}/decide/", {"agrees": True, **said}, format="json", headers=headers)


def tag(client, case: int) -> str:
    return client.get(f"{CASES}{case}/").headers["ETag"]


def refusal(answer, status: int) -> dict:
    assert answer.status_code == status, answer.content
    return answer.json()["error"]


def test_one_opens_and_another_clears(ann, bob, revoked):
    made = opened(ann, revoked)
    assert made.status_code == 201, made.content
    case = made.json()
    assert (case["device"]["serial"], case["opened_by"], case["outcome"]) == ("STOLEN-1", "ann", "")
    read = ann.get(made.headers["Location"])
    assert (read.json(), read.headers["ETag"]) == (case, made.headers["ETag"])
    assert ann.get(CASES, {"state": "waiting"}).json()["results"] == [case]

    answer = decided(bob, case["id"], seen=tag(bob, case["id"]), note="Agreed.")
    assert answer.status_code == 200, answer.content
    assert answer.headers["ETag"] == tag(bob, case["id"])
    closed = answer.json()
    assert (closed["outcome"], closed["closed_by"], closed["note"]) == ("cleared", "bob", "Agreed.")
    assert bob.get(CASES, {"state": "waiting"}).json()["results"] == []
    assert bob.get(CASES, {"state": "cleared", "device": "STOLEN-1"}).json()["results"] == [closed]
    told = AuditEvent.objects.filter(action__in=[AuditAction.CASE_OPENED, AuditAction.CASE_CLOSED]).order_by("id")
    assert [(event.actor, event.device, event.certificate_id, event.details) for event in told] == [
        ("ann: test", revoked, case["certificate"]["id"], {"finding": "Found in a drawer.", "proposal": "cleared"}),
        (
            "bob: test",
            revoked,
            case["certificate"]["id"],
            {"outcome": "cleared", "opened_by": "ann", "note": "Agreed."},
        ),
    ]


def test_a_device_that_is_retired_goes_out_of_service(ann, bob, revoked):
    case = opened(ann, revoked, {"proposal": "retired"}).json()["id"]
    assert decided(bob, case).json()["outcome"] == "retired"
    revoked.refresh_from_db()
    assert revoked.status == "retired"


def test_nobody_decides_on_what_he_has_not_read(ann, bob, revoked):
    case = opened(ann, revoked).json()["id"]
    assert refusal(decided(bob, case, seen=None), 428)["code"] == "precondition_required"
    seen = tag(bob, case)
    for stale in ('"other"', f"W/{seen}"):
        assert refusal(decided(bob, case, seen=stale), 412)["code"] == "precondition_failed"
    assert Case.objects.get().closed_at is None
    Device.objects.update(serial="STOLEN-2")
    assert refusal(decided(bob, case, seen=seen), 412)
    assert decided(bob, case, seen=tag(bob, case)).status_code == 200


def test_what_is_sent_again_is_done_once(ann, bob, revoked):
    first, again = (opened(ann, revoked, idempotency_key="k1") for _ in range(2))
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert [again.headers[name] for name in ("ETag", "Location")] == [
        first.headers[name] for name in ("ETag", "Location")
    ]
    case, seen = first.json()["id"], first.headers["ETag"]
    closed, replayed = (decided(bob, case, seen=seen, key="k2") for _ in range(2))
    assert (closed.status_code, replayed.status_code, replayed.json()) == (200, 200, closed.json())
    assert replayed.headers["Idempotency-Replayed"] == "true"
    assert refusal(decided(bob, case, agrees=False, key="k2"), 422)["code"] == "idempotency_key_reused"
    assert AuditEvent.objects.filter(action=AuditAction.CASE_CLOSED).count() == 1


def test_a_refused_decision_leaves_its_key_free(ann, bob, revoked):
    case = opened(ann, revoked).json()["id"]
    assert refusal(decided(bob, case, seen='"other"', key="k"), 412)
    assert decided(bob, case, key="k").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_two_who_decide_at_once_one_does(client_for):
    deciders = [client_for("cases:write", permissions="", name=name) for name in ("bob", "cat")]
    case = opened(client_for("cases:write", permissions="", name="ann"), stolen("STOLEN-1")).json()["id"]
    seen = tag(deciders[0], case)
    answers = at_once([lambda who=who, n=n: decided(who, case, seen=seen, agrees=n == 0)
                       for n, who in enumerate(deciders)])  # fmt: skip
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    assert AuditEvent.objects.filter(action=AuditAction.CASE_CLOSED).count() == 1


def test_cases_are_read_page_by_page_trimmed_and_only_when_they_changed(ann, revoked, django_assert_num_queries):
    for device in (revoked, stolen("STOLEN-2"), stolen("STOLEN-3")):
        assert opened(ann, device).status_code == 201
    first = ann.get(CASES, {"limit": 2, "fields": "id,device"}).json()
    second = ann.get(first["next"]).json()
    found = [*first["results"], *second["results"]]
    assert [row["device"]["serial"] for row in found] == ["STOLEN-3", "STOLEN-2", "STOLEN-1"]
    assert all(set(row) == {"id", "device"} for row in found)
    assert second["next"] is None
    asked = {"ordering": "opened_at", "fleet": "demo"}
    # Three for the token and its permissions, one for the fleet, one that asks the planner how many cases it has.
    with django_assert_num_queries(6):
        listed = ann.get(CASES, asked)
    assert [row["device"]["serial"] for row in listed.json()["results"]] == ["STOLEN-1", "STOLEN-2", "STOLEN-3"]
    assert ann.get(CASES, asked, headers={"If-None-Match": listed.headers["ETag"]}).status_code == 304
    assert ann.get(CASES, {"opened_before": "2020-01-01"}).json()["results"] == []
    assert refusal(ann.get(CASES, {"state": "open"}), 400)


def test_who_opened_by_a_token_is_no_second_person_in_the_browser(ann, revoked):
    case = opened(ann, revoked).json()["id"]
    browser = APIClient()
    browser.force_login(User.objects.get(username="ann"))
    assert "You proposed this" in refusal(decided(browser, case), 409)["message"]
    assert Case.objects.get().closed_at is None


def test_a_case_that_is_sent_back_changes_nothing_and_another_may_be_opened(ann, bob, revoked):
    first = opened(ann, revoked).json()["id"]
    assert refusal(opened(bob, revoked), 409)["code"] == "case_refused"
    assert decided(bob, first, agrees=False).json()["outcome"] == CaseOutcome.DISMISSED
    assert "sent back (bob)" in refusal(decided(bob, first), 409)["message"]
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
