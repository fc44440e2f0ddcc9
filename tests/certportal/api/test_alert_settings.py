"""Who is told of what, over the API: recipients, policies with levels, mutes; and filters kept under a name."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from certportal.models import SavedFilter, User
from inventory.alerts.policies import escalation_steps_in_force
from inventory.models import AlertPolicy, AuditAction, AuditEvent, Mute, Recipient
from tests import factories
from tests.factories import DAY

POLICIES, RECIPIENTS, MUTES = "/api/v1/alert-policies/", "/api/v1/alert-recipients/", "/api/v1/mutes/"


@pytest.fixture
def boss(client_for):
    scopes = ("alert-policies:write", "alert-recipients:write", "mutes:write", "alerts:write")
    factories.fleet()
    return client_for(*scopes, permissions="", name="ops")


@pytest.fixture
def operator(boss):
    return Recipient.objects.create(name="Operator", channel="email", address="ops@example.com")


def change(client, address: str, body: object, etag: str | None = None) -> Any:
    etag = etag or client.get(address).headers["ETag"]
    return client.patch(address, body, format="json", headers={"If-Match": etag})


def policy(**changes: object) -> dict[str, object]:
    return {
        "name": "Meters",
        "applies_to": "daily",
        "fleet": "demo",
        "thresholds": [30, 60],
        "levels": [
            {"number": 1, "recipients": ["Operator"], "repeat_every": "P7D", "silence": "P14D"},
            {"number": 2, "recipients": [], "repeat_every": "PT12H", "silence": "P14D"},
        ],
        **changes,
    }


def test_a_recipient_is_made_and_changed(boss):
    body = {"name": "Hook", "channel": "webhook", "address": "https://hook.example/"}
    made = boss.post(RECIPIENTS, body, format="json")
    assert made.status_code == 201, made.content
    address = made.headers["Location"]
    assert boss.get(address).json() == made.json() == {"id": made.json()["id"], **body, "secret_number": 1}
    assert boss.get(address).headers["ETag"] == made.headers["ETag"]
    turned = change(boss, address, {"secret_number": 2})
    assert (turned.status_code, turned.json()["secret_number"]) == (200, 2)
    added, changed = AuditEvent.objects.filter(action=AuditAction.CONFIGURATION_CHANGED).order_by("id")
    assert (added.details["added"], added.details["changes"]["name"]) == (True, [None, "Hook"])
    assert changed.details["changes"] == {"secret_number": [1, 2]}
    again = boss.post(RECIPIENTS, {**body, "channel": "email"}, format="json")
    assert (again.status_code, "address" in again.json()["error"]["details"]) == (400, True)


def test_a_policy_is_made_and_its_levels_are_replaced(boss, operator):
    made = boss.post(POLICIES, policy(), format="json")
    assert made.status_code == 201, made.content
    address = made.headers["Location"]
    shown = boss.get(address).json()
    assert shown == made.json()
    assert shown["thresholds"] == [60, 30]
    assert shown["levels"][0] == {
        "number": 1,
        "recipients": ["Operator"],
        "repeat_every": "P7DT00H00M00S",
        "silence": "P14DT00H00M00S",
    }
    assert [step.level for step in escalation_steps_in_force(timezone.now())[shown["id"]]] == [1, 2]
    seen = boss.get(address).headers["ETag"]
    levels = [{"number": 1, "recipients": [], "repeat_every": "P1D", "silence": "P2D"}]
    changed = change(boss, address, {"levels": levels, "enabled": False}, seen)
    assert (changed.status_code, changed.json()["enabled"]) == (200, False)
    assert [level["repeat_every"] for level in changed.json()["levels"]] == ["P1DT00H00M00S"]
    assert boss.get(address).json() == changed.json()
    assert change(boss, address, {"enabled": True}, seen).status_code == 412
    event = AuditEvent.objects.latest("pk")
    assert event.details["changes"]["enabled"] == [True, False]
    assert len(event.details["changes"]["levels"][0]) == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"applies_to": "some"}, "applies_to"),
        ({"fleet": "none"}, "fleet"),
        ({"fleet": "a\0"}, "fleet"),
        ({"thresholds": []}, "thresholds"),
        ({"thresholds": ["30"]}, "thresholds"),
        ({"thresholds": [-1]}, "thresholds"),
        ({"thresholds": list(range(11))}, "thresholds"),
        ({"enabled": "yes"}, "enabled"),
        ({"levels": [{}]}, "levels"),
        ({"levels": [{"number": 1, "recipients": ["Nobody"], "repeat_every": "P1D", "silence": "P1D"}]}, "levels"),
        ({"levels": [{"number": 1, "recipients": [], "repeat_every": 5, "silence": "P1D"}]}, "levels"),
        ({"levels": [{"number": 1, "recipients": [], "repeat_every": "P0D", "silence": "P1D"}]}, "levels"),
        ({"levels": [{"number": 1, "recipients": [], "repeat_every": "P1D", "silence": "P1D"}] * 2}, "levels"),
        ({"applies_to": "portal"}, "non_field_errors"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_whole(boss, operator, changes, field):
    answer = boss.post(POLICIES, policy(**changes), format="json")
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, [field])
    assert not AlertPolicy.objects.exists()


def test_of_one_scope_there_is_one_policy(boss, operator):
    assert boss.post(POLICIES, policy(), format="json").status_code == 201
    answer = boss.post(POLICIES, policy(name="Other"), format="json")
    assert answer.status_code == 400, answer.content
    other = boss.post(POLICIES, policy(name="Other", fleet=None), format="json")
    assert (other.status_code, other.json()["fleet"]) == (201, None)


def test_a_fleet_is_muted_for_a_while_and_the_end_is_moved(boss):
    until = timezone.now() + DAY
    made = boss.post(MUTES, {"fleet": "demo", "until": until.isoformat(), "reason": "Move of the plant"}, format="json")
    assert made.status_code == 201, made.content
    address = made.headers["Location"]
    assert boss.get(address).json() == made.json()
    assert (made.json()["fleet"], made.json()["created_by"]) == ("demo", "ops: test")
    assert AuditEvent.objects.get(action=AuditAction.ALERT_MUTED).details["reason"] == "Move of the plant"
    nearer = change(boss, address, {"until": (timezone.now() + timedelta(hours=1)).isoformat()})
    assert nearer.status_code == 200
    assert change(boss, address, {"until": "2020-01-01T00:00:00Z"}).status_code == 400
    assert change(boss, address, {"reason": "Other"}).status_code == 400
    assert [len(boss.get(f"{MUTES}?active={word}").json()["results"]) for word in ("true", "false")] == [1, 0]


def test_a_certificate_or_a_thing_of_the_portal_is_muted(boss, meter):
    ahead = {"until": (timezone.now() + DAY).isoformat(), "reason": "Known"}
    made = boss.post(MUTES, {"certificate": meter.certificate.pk, **ahead}, format="json")
    assert made.json()["certificate"]["id"] == meter.certificate.pk
    assert boss.post(MUTES, {"about": "mfg-1/0", **ahead}, format="json").json()["about"] == "mfg-1/0"
    for body in ({}, {"fleet": "demo", "about": "x"}, {"certificate": 0}, {"fleet": "demo", "reason": ""}):
        assert boss.post(MUTES, {**ahead, **body}, format="json").status_code == 400
    past = {"fleet": "demo", "until": "2020-01-01T00:00:00Z", "reason": "Known"}
    assert list(boss.post(MUTES, past, format="json").json()["error"]["details"]) == ["until"]
    assert Mute.objects.count() == 2


def test_writing_needs_the_scope_and_the_permission(boss, client_for):
    bodies = {POLICIES: policy(levels=[]), RECIPIENTS: {}, MUTES: {}}
    for number, (scopes, permissions) in enumerate(
        [(["alert-policies", "alert-recipients", "mutes"], ""), (["alert-policies:write", "mutes:write"], "view_")]
    ):
        client = client_for(*scopes, permissions=permissions, name=f"other-{number}")
        assert {client.post(address, body, format="json").status_code for address, body in bodies.items()} == {403}


def test_filters_of_ones_own_and_shared_ones_are_listed(reader, client_for):
    own, other = User.objects.get(username="reader"), User.objects.create_user("other", all_fleets=True)
    for owner, name, shared, listed in [
        (own, "Mine", False, "inventory_device"),
        (other, "Theirs", True, "inventory_certificate"),
        (other, "Secret", False, "inventory_device"),
    ]:
        SavedFilter.objects.create(
            owner=owner, name=name, shared=shared, list=listed, query="status=retired", created_at=timezone.now()
        )
    rows = reader.get("/api/v1/saved-filters/").json()["results"]
    assert [(row["name"], row["owner"], row["query"]) for row in rows] == [
        ("Theirs", "other", "status=retired"),
        ("Mine", "reader", "status=retired"),
    ]
    [mine] = reader.get("/api/v1/saved-filters/?list=inventory_device").json()["results"]
    assert mine["name"] == "Mine"
    narrow = client_for(permissions="view_savedfilter", name="narrow")
    assert narrow.get("/api/v1/saved-filters/").json()["results"] == []
