"""Registering and changing devices: one or many, each row with its result, nothing half done, everything told."""

import json
from typing import Any

import pytest

from inventory.counters import reading
from inventory.models import AuditAction, AuditEvent, Batch, Device, Site
from tests import factories
from tests.certportal.api import rows
from tests.parallel import at_once

DEVICES = "/api/v1/devices/"


@pytest.fixture
def fleet(db):
    fleet = factories.fleet()
    Site.objects.create(fleet=fleet, name="North")
    Batch.objects.create(fleet=fleet, name="B1")
    return fleet


@pytest.fixture
def writer(client_for):
    return client_for("devices:write", permissions="", name="ops")


def new(serial: str, **values: object) -> dict[str, object]:
    return {"fleet": "demo", "serial": serial, **values}


def post(client, body, **headers):
    # Not by the client's own encoder: a body can say what UTF-8 cannot.
    return client.post(DEVICES, json.dumps(body), content_type="application/json", headers=headers)


def patch(client, device, body, **headers):
    return client.patch(f"{DEVICES}{device.id}/", body, format="json", headers=headers)


def tag(client, device) -> str:
    return client.get(f"{DEVICES}{device.id}/").headers["ETag"]


def outcomes(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [result["outcome"] for result in answer.json()["results"]]


# --- Registering -----------------------------------------------------------------------------------------------------


def test_a_device_is_registered_and_shown_as_a_get_shows_it(fleet, writer):
    body = new(
        "M-1", site="North", batch="B1", latitude="3.1390031", longitude=-1e-9, mqtt_id="m-1", status="suspended"
    )
    answer = post(writer, body)
    assert answer.status_code == 201, answer.content
    read = writer.get(answer.headers["Location"])
    assert (answer.json(), answer.headers["ETag"]) == (read.json(), read.headers["ETag"])
    shown = answer.json()
    assert (shown["site"], shown["batch"], shown["latitude"]) == ("North", "B1", "3.139003")
    assert (shown["connectivity"], shown["status"]) == ("daily", "suspended")
    event = AuditEvent.objects.get(action=AuditAction.DEVICE_REGISTERED)
    assert (event.device_id, event.actor, event.object_name) == (shown["id"], "ops: test", "M-1")
    assert reading.devices()[fleet.pk].number == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"serial": "M-1"}, "fleet"),
        (new("M-1", fleet="none"), "fleet"),
        (new(""), "serial"),
        (new("-x"), "serial"),
        (new("M 1"), "serial"),
        (new("M" * 65), "serial"),
        ({"fleet": "demo", "serial": 5}, "serial"),
        (new("M-1", colour="red"), "colour"),
        (new("M-1", registered_at="2027-03-01T00:00:00Z"), "registered_at"),
        (new("M-1", site="South"), "site"),
        (new("M-1", batch="North"), "batch"),
        (new("M-1", latitude=1), "longitude"),
        (new("M-1", latitude=91, longitude=0), "latitude"),
        (new("M-1", latitude="NaN", longitude=0), "latitude"),
        (new("M-1", latitude=True, longitude=0), "latitude"),
        (new("M-1", mqtt_id="a/b"), "mqtt_id"),
        (new("M-1", mqtt_id="\ud800"), "mqtt_id"),
        (new("M-1", site="\x00"), "site"),
        (new("M-1", phone_number="012"), "phone_number"),
        (new("M-1", phone_number="+60 123456789"), "phone_number"),
        (new(" M-1"), "serial"),
        (new("M-1\n"), "serial"),
        (new("M-1", latitude="1e1", longitude=0), "latitude"),
        (new("M-1", connectivity="often"), "connectivity"),
        (new("M-1", status=None), "status"),
        ("M-1", "non_field_errors"),
        (new("M-1", **{"\ud800\x00": 1}), "??"),
    ],
)
def test_what_is_wrong_with_a_device_is_said_by_field(fleet, writer, body, field):
    answer = post(writer, body)
    assert answer.status_code == 400
    assert list(answer.json()["error"]["details"]) == [field]
    [result] = post(writer, [body]).json()["results"]
    assert (result["outcome"], list(result["details"])) == ("refused", [field])
    assert result["reason"].startswith(f"{field}: ")
    assert not Device.objects.exists()


def test_each_device_of_a_list_has_its_result_in_its_place(fleet, writer):
    factories.device("M-0", mqtt_id="m-0")
    answer = post(
        writer,
        [new("M-1"), new("M-0"), "nonsense", new("M-2", mqtt_id="m-0"), new("M-1"), new("M-3", mqtt_id="m-3"),
         new("M-4", mqtt_id="m-3")],
    )  # fmt: skip
    assert outcomes(answer) == ["registered", "refused", "refused", "refused", "refused", "registered", "refused"]
    body = answer.json()
    assert body["counts"] == {"registered": 2, "changed": 0, "unchanged": 0, "refused": 5}
    assert body["results"][1]["details"] == {"serial": ["Another device of the fleet has this device serial."]}
    assert body["results"][3]["details"] == {"mqtt_id": ["Another device of the fleet has this MQTT client id."]}
    assert "Item 0 of this request" in body["results"][4]["reason"]
    assert "Item 5 of this request" in body["results"][6]["reason"]
    made = Device.objects.get(serial="M-1")
    assert (body["results"][0]["id"], body["results"][0]["etag"]) == (made.pk, tag(writer, made))
    assert set(Device.objects.values_list("serial", flat=True)) == {"M-0", "M-1", "M-3"}


def test_what_a_refused_row_named_is_free_for_the_next(fleet, writer):
    assert outcomes(post(writer, [new("M-1", mqtt_id="m", site="South"), new("M-2", mqtt_id="m")])) == [
        "refused",
        "registered",
    ]


def test_a_thousand_devices_cost_as_many_queries_as_two(fleet, writer, django_assert_num_queries):
    body = [new(f"M-{number}", mqtt_id=f"m-{number}", site="North", batch="B1") for number in range(1002)]
    queries = 12  # three of them for the token and its permissions, two for the savepoint
    post(writer, [new("X-1")])
    with django_assert_num_queries(queries):
        assert outcomes(post(writer, body[:2])) == ["registered"] * 2
    with django_assert_num_queries(queries):
        assert outcomes(post(writer, body[2:])) == ["registered"] * 1000
    assert AuditEvent.objects.filter(action=AuditAction.DEVICE_REGISTERED).count() == 1003


@pytest.mark.parametrize("body", [[], [{}] * 1001])
def test_a_list_holds_one_to_a_thousand(fleet, writer, body):
    assert post(writer, body).status_code == 400
    assert writer.patch(DEVICES, body, format="json").status_code == 400


@pytest.mark.django_db(transaction=True)
def test_of_many_who_register_one_serial_at_once_one_does(client_for):
    factories.fleet()
    writer = client_for("devices:write", permissions="", name="ops")
    answers = at_once([lambda: post(writer, [new("M-1"), new("M-2")])] * 4)
    assert sorted(outcomes(answer)[0] for answer in answers) == ["refused"] * 3 + ["registered"]
    assert Device.objects.count() == 2


def test_a_key_registers_once(fleet, writer):
    first, second = post(writer, new("M-1"), idempotency_key="k"), post(writer, new("M-1"), idempotency_key="k")
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert [second.headers[name] for name in ("ETag", "Location")] == [
        first.headers[name] for name in ("ETag", "Location")
    ]
    assert second.headers["Idempotency-Replayed"] == "true"


# --- Changing one ----------------------------------------------------------------------------------------------------


def test_a_device_is_changed_by_who_has_seen_it(fleet, writer):
    device = factories.device("M-1", mqtt_id="m-1", site=Site.objects.get())
    seen = tag(writer, device)
    answer = patch(writer, device, {"site": None, "mqtt_id": "m-2"}, if_match=seen)
    assert answer.status_code == 200, answer.content
    read = writer.get(f"{DEVICES}{device.id}/")
    assert (answer.json(), answer.headers["ETag"]) == (read.json(), read.headers["ETag"])
    assert (answer.json()["site"], answer.json()["mqtt_id"]) == (None, "m-2")
    event = AuditEvent.objects.get(action=AuditAction.CONFIGURATION_CHANGED)
    assert event.details["changes"] == {"site": ["North", None], "mqtt_id": ["m-1", "m-2"]}
    assert (event.device, event.object_name, event.actor) == (device, "device: M-1", "ops: test")
    again = patch(writer, device, {"mqtt_id": "m-3"}, if_match=seen)
    assert (again.status_code, again.json()["error"]["code"]) == (412, "precondition_failed")
    assert patch(writer, device, {"mqtt_id": "m-2"}, if_match="*").status_code == 200
    assert AuditEvent.objects.filter(action=AuditAction.CONFIGURATION_CHANGED).count() == 1


def test_a_change_without_a_condition_is_refused(fleet, writer):
    answer = patch(writer, factories.device("M-1"), {"mqtt_id": "m-1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (428, "precondition_required")


def test_a_weak_tag_is_no_condition(fleet, writer):
    device = factories.device("M-1")
    assert patch(writer, device, {"mqtt_id": "m"}, if_match=f"W/{tag(writer, device)}").status_code == 412


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"serial": "M-2"}, "serial"),
        ({"fleet": "demo"}, "fleet"),
        ({"latitude": 1}, "longitude"),
        ({"site": "South"}, "site"),
        ({"mqtt_id": "m-0"}, "mqtt_id"),
        ([], "non_field_errors"),
    ],
)
def test_a_change_that_cannot_be_is_said_by_field(fleet, writer, body, field):
    factories.device("M-0", mqtt_id="m-0")
    device = factories.device("M-1", mqtt_id="m-1")
    answer = patch(writer, device, body, if_match="*")
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, [field])
    assert patch(writer, device, {"mqtt_id": "m-1"}, if_match="*").status_code == 200


# --- Changing many ---------------------------------------------------------------------------------------------------


def test_each_change_of_a_list_has_its_result_in_its_place(fleet, writer):
    one, two, three = (factories.device(f"M-{number}", mqtt_id=f"m-{number}") for number in range(3))
    body = [
        {"id": one.pk, "site": "North", "etag": tag(writer, one)},
        {"fleet": "demo", "serial": "M-1", "status": "retired"},
        {"id": three.pk, "mqtt_id": "m-9", "etag": '"stale"'},
        {"id": one.pk, "batch": "B1"},
        {"id": 0, "batch": "B1"},
        {"fleet": "demo", "serial": "M-9", "batch": "B1"},
        {"serial": "M-2", "batch": "B1"},
        {"id": three.pk, "latitude": 1, "mqtt_id": "m-7"},
        {"id": three.pk, "mqtt_id": "m-2"},
    ]
    answer = writer.patch(DEVICES, body, format="json")
    assert outcomes(answer) == ["changed", "changed", *["refused"] * 6, "unchanged"]
    results = answer.json()["results"]
    assert [list(result.get("details", {})) for result in results[2:8]] == [
        ["etag"], ["id"], ["id"], ["serial"], ["id"], ["longitude"],
    ]  # fmt: skip
    assert results[0]["etag"] == tag(writer, one)
    for device in (one, two, three):
        device.refresh_from_db()
    assert (one.site.name, one.batch, two.status, three.mqtt_id) == ("North", None, "retired", "m-2")
    events = AuditEvent.objects.filter(action=AuditAction.CONFIGURATION_CHANGED).order_by("id")
    assert [(event.device, event.details["changes"]) for event in events] == [
        (one, {"site": [None, "North"]}),
        (two, {"status": ["in_service", "retired"]}),
    ]


def test_a_thousand_changes_cost_as_many_queries_as_two(fleet, writer, django_assert_num_queries):
    devices = rows.devices(1002, fleet)
    body = [
        {"id": device.pk, "site": "North", "batch": "B1", "mqtt_id": f"m-{device.pk}", "latitude": 1, "longitude": 2}
        for device in devices
    ]
    queries = 12
    writer.get(DEVICES)
    with django_assert_num_queries(queries):
        assert outcomes(writer.patch(DEVICES, body[:2], format="json")) == ["changed"] * 2
    with django_assert_num_queries(queries):
        assert outcomes(writer.patch(DEVICES, body[2:], format="json")) == ["changed"] * 1000
    assert Device.objects.filter(site__name="North", batch__name="B1", latitude=1).count() == 1002


def test_writing_needs_the_scope_and_the_permission(fleet, client_for):
    device = factories.device("M-1")
    for number, (scopes, permissions) in enumerate([(["devices"], ""), ([], ""), (["devices:write"], "view_")]):
        client = client_for(*scopes, permissions=permissions, name=f"other-{number}")
        assert post(client, new("M-2")).status_code == 403
        assert patch(client, device, {"mqtt_id": "m"}, if_match="*").status_code == 403
        assert client.patch(DEVICES, [{"id": device.pk, "mqtt_id": "m"}], format="json").status_code == 403


# --- Sites and batches -----------------------------------------------------------------------------------------------


def test_sites_and_batches_are_made_before_the_devices_that_name_them(fleet, client_for):
    client = client_for("sites:write", "batches:write", permissions="", name="ops")
    made = client.post("/api/v1/batches/", new_group("B2", manufactured_on="2027-03-01"), format="json")
    assert made.status_code == 201, made.content
    assert client.get(made.headers["Location"]).json() == made.json()
    assert made.json() == {"id": made.json()["id"], **new_group("B2", manufactured_on="2027-03-01")}
    answer = client.post(
        "/api/v1/sites/", [new_group("South"), new_group("North"), new_group("South"), {}], format="json"
    )
    assert outcomes(answer) == ["registered", "refused", "refused", "refused"]
    assert [site["name"] for site in client.get("/api/v1/sites/?fleet=demo").json()["results"]] == ["South", "North"]
    assert AuditEvent.objects.filter(action=AuditAction.CONFIGURATION_CHANGED).count() == 2
    assert client.post("/api/v1/sites/", new_group("North"), format="json").json()["error"]["details"] == {
        "name": ["Fleet demo has 'North' already."]
    }


def new_group(name: str, **values: object) -> dict[str, object]:
    return {"fleet": "demo", "name": name, **values}


def test_a_site_is_renamed_by_who_has_seen_it(fleet, client_for):
    client = client_for("sites:write", permissions="", name="ops")
    Site.objects.create(fleet=fleet, name="South")
    address = f"/api/v1/sites/{Site.objects.get(name='North').pk}/"
    seen = client.get(address).headers["ETag"]

    def rename(name: object, etag: str) -> Any:
        return client.patch(address, {"name": name}, format="json", headers={"If-Match": etag})

    assert client.patch(address, {"name": "x"}, format="json").status_code == 428
    assert rename("South", seen).status_code == 400
    assert rename(5, seen).status_code == 400
    renamed = rename("Far North", seen)
    assert (renamed.status_code, renamed.json()["name"]) == (200, "Far North")
    assert rename("Near North", seen).status_code == 412
    assert client.get(address).headers["ETag"] == renamed.headers["ETag"]
    event = AuditEvent.objects.get(action=AuditAction.CONFIGURATION_CHANGED)
    assert event.details["changes"] == {"name": ["North", "Far North"]}


def test_a_thousand_sites_cost_as_many_queries_as_two(fleet, client_for, django_assert_num_queries):
    client = client_for("sites:write", permissions="", name="ops")
    client.get("/api/v1/sites/")
    for numbers in (range(2), range(2, 1002)):
        with django_assert_num_queries(9):
            client.post("/api/v1/sites/", [new_group(f"S{number}") for number in numbers], format="json")
    assert Site.objects.count() == 1003


@pytest.mark.django_db(transaction=True)
def test_of_many_who_change_what_they_saw_at_once_one_does(client_for):
    fleet = factories.fleet()
    writer = client_for("devices:write", "sites:write", permissions="", name="ops")
    for number in range(4):
        Site.objects.create(fleet=fleet, name=f"S{number}")
    device, site = factories.device("M-1"), Site.objects.get(name="S0")
    seen, of_site = tag(writer, device), writer.get(f"/api/v1/sites/{site.pk}/").headers["ETag"]
    moved = at_once([lambda n=n: patch(writer, device, {"site": f"S{n}"}, if_match=seen) for n in range(4)])
    assert sorted(answer.status_code for answer in moved) == [200, 412, 412, 412]
    [done] = [answer for answer in moved if answer.status_code == 200]
    assert writer.get(f"{DEVICES}{device.id}/").json() == done.json()

    def rename(number: int) -> Any:
        body, headers = {"name": f"T{number}"}, {"If-Match": of_site}
        return writer.patch(f"/api/v1/sites/{site.pk}/", body, format="json", headers=headers)

    assert sorted(answer.status_code for answer in at_once([lambda n=n: rename(n) for n in range(4)])) == [
        200, 412, 412, 412,
    ]  # fmt: skip


def test_one_of_several_tags_is_enough_and_weak_ones_are_none(client_for):
    writer = client_for("devices:write", "sites:write", permissions="", name="ops")
    device = factories.device("M-1")
    for number, condition in enumerate(('"x", {}', '{}, "x"', '"x,y" , {}', '"x",{}')):
        answer = patch(writer, device, {"mqtt_id": f"m-{number}"}, if_match=condition.format(tag(writer, device)))
        assert answer.status_code == 200, condition
    for condition in ('"x", W/{}', '"x", "y"', ""):
        answer = patch(writer, device, {"mqtt_id": "never"}, if_match=condition.format(tag(writer, device)))
        assert answer.status_code == 412, condition
