"""Reporting sightings: each row has its result, a report is taken in once, and only by who may."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from certportal.api import idempotency
from certportal.models import KeptAnswer
from inventory.models import AuditAction, AuditEvent, Device, UnexpectedSighting
from inventory.sightings import MOST_IN_A_BATCH
from tests.factories import enrolled
from tests.parallel import at_once

SIGHTINGS = "/api/v1/sightings/"


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def gateway(client_for):
    return client_for("sightings:write", permissions="add_unexpectedsighting", name="gateway")


def row(meter, at):
    return {"seen_at": at.isoformat(), "sha256": meter.sha256.hex()}


def post(client, rows, **headers):
    return client.post(SIGHTINGS, {"sightings": rows}, format="json", headers=headers)


def test_each_row_has_its_result_in_its_place(gateway, now):
    new, used = enrolled(used=False, now=now), enrolled(now=now)
    future = now + timedelta(hours=1)
    answer = post(
        gateway,
        [
            row(new, now),
            "nonsense",
            row(used, now),
            row(used, future),
            {"seen_at": now.isoformat(), "sha256": "0" * 64},
        ],
    )
    assert answer.status_code == 200
    body = answer.json()
    assert [result["outcome"] for result in body["results"]] == ["confirmed", "refused", "seen", "refused", "unknown"]
    assert body["results"][1]["reason"] == "A sighting is a JSON object."
    assert "lies in the future" in body["results"][3]["reason"]
    assert body["counts"] == {"confirmed": 1, "seen": 1, "older": 0, "unknown": 1, "revoked": 0, "refused": 2}
    assert Device.objects.get(pk=used.device.pk).last_seen_at == now
    event = AuditEvent.objects.get(action=AuditAction.CERTIFICATE_CONFIRMED, certificate=new.certificate)
    assert (event.actor, event.source_address) == ("gateway: test", "127.0.0.1")


@pytest.mark.parametrize(
    "body", [{}, [], None, "x", {"sightings": {}}, {"sightings": []}, {"sightings": [{}], "more": 1}]
)
def test_a_body_that_is_no_report_is_refused_whole(gateway, body):
    answer = gateway.post(SIGHTINGS, body, format="json")
    assert answer.status_code == 400
    assert "sightings" in answer.json()["error"]["details"]


def test_a_report_has_a_limit_of_rows_and_of_bytes(gateway):
    answer = post(gateway, [0] * (MOST_IN_A_BATCH + 1))
    assert answer.json()["error"]["details"] == {"sightings": ["A report holds 1 to 10000 sightings; it has 10001."]}
    answer = post(gateway, ["x" * 3_000_000])
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"


def test_reporting_needs_the_scope_to_write_and_the_permission(client_for, gateway, now):
    meter = enrolled(now=now)
    for number, (scopes, permissions) in enumerate(
        [(["sightings"], "add_unexpectedsighting"), ([], "add_unexpectedsighting"), (["sightings:write"], "view_")]
    ):
        client = client_for(*scopes, permissions=permissions, name=f"other-{number}")
        assert post(client, [row(meter, now)]).status_code == 403
    assert gateway.get(SIGHTINGS).status_code == 403


def test_a_name_that_cannot_be_written_is_refused_like_any_other(gateway):
    body = json.dumps({"sightings": [{"\ud800\0": 1}]})
    answer = gateway.post(SIGHTINGS, body, content_type="application/json", headers={"Idempotency-Key": "r-1"})
    assert answer.json()["results"][0]["reason"].startswith("??: no field of a sighting.")


def test_unexpected_sightings_can_be_read_and_filtered(gateway, reader, now):
    post(gateway, [{"seen_at": now.isoformat(), "sha256": "0" * 64}])
    [listed] = reader.get(f"{SIGHTINGS}?oddity=unknown").json()["results"]
    assert listed == reader.get(f"{SIGHTINGS}{listed['id']}/").json()
    assert (listed["name"], listed["source"], listed["count"]) == (f"sha256:{'0' * 64}", "gateway: test", 1)
    assert reader.get(f"{SIGHTINGS}?oddity=revoked").json()["results"] == []
    assert reader.get(f"{SIGHTINGS}?oddity=none").status_code == 400


def test_a_request_with_a_key_is_carried_out_once_and_answered_the_same(gateway, now):
    rows = [row(enrolled(used=False, now=now), now), {"seen_at": now.isoformat(), "sha256": "0" * 64}]
    first, second = post(gateway, rows, idempotency_key="r-1"), post(gateway, rows, idempotency_key="r-1")
    assert first.json() == second.json()
    assert first.json()["results"][0]["outcome"] == "confirmed"
    assert ("Idempotency-Replayed" in first.headers, second.headers["Idempotency-Replayed"]) == (False, "true")
    assert UnexpectedSighting.objects.get().count == 1
    assert post(gateway, rows).json()["results"][0]["outcome"] == "older"


def test_a_key_is_of_one_request_and_one_user(client_for, gateway, now):
    rows = [row(enrolled(now=now), now)]
    assert post(gateway, rows, idempotency_key="r-1").status_code == 200
    other = post(gateway, rows * 2, idempotency_key="r-1")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    stranger = client_for("sightings:write", permissions="add_unexpectedsighting", name="stranger")
    assert post(stranger, rows * 2, idempotency_key="r-1").status_code == 200


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "\u00e4"])
def test_a_key_is_printable_ascii(gateway, key):
    assert post(gateway, [0], idempotency_key=key).status_code == 400


def test_a_refused_request_leaves_its_key_free(gateway, now):
    assert post(gateway, [], idempotency_key="r-1").status_code == 400
    assert post(gateway, [row(enrolled(now=now), now)], idempotency_key="r-1").status_code == 200


def test_an_answer_is_kept_for_a_day(gateway, now):
    post(gateway, [0], idempotency_key="r-1")
    assert idempotency.forget(now + timedelta(hours=23)) == 0
    assert idempotency.forget(now + timedelta(hours=25)) == 1
    assert not KeptAnswer.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_requests_with_one_key_at_once_one_is_carried_out(client_for):
    client = client_for("sightings:write", permissions="add_unexpectedsighting")
    rows = [{"seen_at": timezone.now().isoformat(), "sha256": "0" * 64}]
    answers = at_once([lambda: post(client, rows, idempotency_key="r-1")] * 6)
    assert {answer.status_code for answer in answers} == {200}
    assert UnexpectedSighting.objects.get().count == 1
