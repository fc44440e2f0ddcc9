"""Devices registered and changed over the API: each row lands whole or says why not, and nobody's change is lost."""

import pytest
from django.urls import reverse

from inventory.models import AuditAction, AuditEvent, Batch, Device, Site
from tests import factories
from tests.parallel import at_once

DEVICES = "/api/v1/devices/"


@pytest.fixture
def writer(client_for):
    return client_for("devices:write", permissions="", name="line-1")


@pytest.fixture
def fleet(db):
    made = factories.fleet()
    Site.objects.create(fleet=made, name="Penang")
    Batch.objects.create(fleet=made, name="B7")
    return made


def row(serial: str, **values: object) -> dict[str, object]:
    return {"fleet": "demo", "serial": serial, **values}


def post(client, *rows: object, **headers: str):
    return client.post(DEVICES, {"devices": list(rows)}, format="json", headers=headers)


def patch(client, *rows: object):
    return client.patch(DEVICES, {"devices": list(rows)}, format="json")


def outcomes(answer) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [result["outcome"] for result in answer.json()["results"]]


def reasons(answer) -> list[list[str]]:
    return [sorted(result.get("reasons", {})) for result in answer.json()["results"]]


# --- Registering -----------------------------------------------------------------------------------------------------


def test_devices_are_registered_with_all_that_is_known_of_them(writer, fleet):
    values = {"site": "Penang", "batch": "B7", "latitude": "5.4", "longitude": "100.3", "mqtt_id": "m-1",
              "phone_number": "+60123456789", "connectivity": "intermittent", "status": "suspended"}  # fmt: skip
    answer = post(writer, row("A-1", **values), row("A-2"))
    assert outcomes(answer) == ["created", "created"]
    assert answer.json()["counts"] == {"created": 2, "changed": 0, "unchanged": 0, "refused": 0}
    made = Device.objects.get(pk=answer.json()["results"][0]["id"])
    assert (made.site.name, made.batch.name, made.mqtt_id, made.status) == ("Penang", "B7", "m-1", "suspended")
    told = AuditEvent.objects.filter(action=AuditAction.DEVICE_REGISTERED).order_by("id")
    assert [(event.actor, event.device.serial) for event in told] == [("line-1", "A-1"), ("line-1", "A-2")]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (row("a b"), "serial"),
        (row("x" * 65), "serial"),
        (row("A\n"), "serial"),
        ({"fleet": "demo"}, "serial"),
        ({"serial": "A-9"}, "fleet"),
        (row("A-9", fleet="elsewhere"), "fleet"),
        (row("A-9", fleet="\x00"), "fleet"),
        (row("A-9", site="Nowhere"), "site"),
        (row("A-9", batch="B8"), "batch"),
        (row("A-9", mqtt_id="a/+"), "mqtt_id"),
        (row("A-9", mqtt_id="taken"), "mqtt_id"),
        (row("A-9", phone_number="0123"), "phone_number"),
        (row("A-9", latitude="5"), "longitude"),
        (row("A-9", latitude="91", longitude="0"), "latitude"),
        (row("A-9", connectivity="sometimes"), "connectivity"),
        (row("A-9", registered_at="2027-01-01"), "registered_at"),
        (row("KNOWN"), "serial"),
        ([], "non_field_errors"),
        ("A-9", "non_field_errors"),
    ],
)
def test_a_bad_row_says_which_field_and_the_others_land(writer, fleet, bad, field):
    factories.device("KNOWN", mqtt_id="taken")
    answer = post(writer, row("A-1"), bad, row("A-2"))
    assert outcomes(answer) == ["created", "refused", "created"]
    assert reasons(answer)[1] == [field]
    assert Device.objects.filter(serial__in=["A-1", "A-2"]).count() == 2


def test_of_rows_that_name_one_thing_twice_the_first_lands(writer, fleet):
    answer = post(writer, row("A-1", mqtt_id="m"), row("A-1"), row("A-2", mqtt_id="m"))
    assert outcomes(answer) == ["created", "refused", "refused"]
    assert reasons(answer) == [[], ["serial"], ["mqtt_id"]]


def test_a_thousand_rows_cost_the_statements_of_one(writer, fleet, django_assert_max_num_queries):
    with django_assert_max_num_queries(20):
        assert set(outcomes(post(writer, *(row(f"A-{number}", site="Penang") for number in range(1000))))) == {
            "created"
        }


@pytest.mark.parametrize(
    "body", [{}, [], {"devices": {}}, {"devices": []}, {"devices": [{}] * 1001}, {"devices": [{}], "x": 1}]
)
def test_a_body_of_another_shape_is_refused_whole(writer, fleet, body):
    answer = writer.post(DEVICES, body, format="json")
    assert answer.status_code == 400
    assert "devices" in answer.json()["error"]["details"]


def test_a_request_that_is_sent_again_registers_nothing_twice(writer, fleet):
    first, again = (post(writer, row("A-1"), **{"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.json() == again.json() and again.headers["Idempotency-Replayed"] == "true"
    assert Device.objects.filter(serial="A-1").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_lines_that_register_the_same_device_at_once_make_one(client_for, fleet):
    lines = [client_for("devices:write", permissions="", name=name) for name in ("line-1", "line-2")]
    rows = [row(f"A-{number}") for number in range(50)]
    found = at_once([lambda line=line: outcomes(post(line, *rows)) for line in lines])
    assert sorted(map(tuple, found)) == [("created",) * 50, ("refused",) * 50]


# --- Changing --------------------------------------------------------------------------------------------------------


def read(client, pk: int):
    return client.get(f"{DEVICES}{pk}/")


def change(client, pk: int, values: dict, tag: str | None):
    headers = {} if tag is None else {"If-Match": tag}
    return client.patch(f"{DEVICES}{pk}/", values, format="json", headers=headers)


def test_one_device_is_changed_by_who_has_seen_it_as_it_is(writer, fleet):
    device = factories.device("A-1")
    tag = read(writer, device.pk).headers["ETag"]
    answer = change(writer, device.pk, {"site": "Penang", "status": "suspended"}, tag)
    assert (answer.status_code, answer.json()["site"], answer.json()["status"]) == (200, "Penang", "suspended")
    assert answer.headers["ETag"] == read(writer, device.pk).headers["ETag"] != tag
    told = AuditEvent.objects.get(action=AuditAction.CONFIGURATION_CHANGED)
    assert told.device == device
    assert told.details["changes"] == {"site": ["", "Penang"], "status": ["in_service", "suspended"]}

    assert change(writer, device.pk, {"site": None}, tag).json()["error"]["code"] == "changed_meanwhile"
    assert change(writer, device.pk, {"site": None}, f"W/{answer.headers['ETag']}").status_code == 412
    assert change(writer, device.pk, {"site": None}, None).status_code == 428
    assert change(writer, device.pk, {"site": None}, "*").json()["site"] is None


@pytest.mark.parametrize(
    "values", [{"serial": "B"}, {"fleet": "demo"}, {"site": "Nowhere"}, {"latitude": "1"}, {"id": 3}]
)
def test_what_cannot_be_changed_is_refused_by_field_and_nothing_is_done(writer, fleet, values):
    device = factories.device("A-1")
    answer = change(writer, device.pk, {**values, "connectivity": "always_on"}, "*")
    assert answer.status_code == 400
    device.refresh_from_db()
    assert device.connectivity == "daily"


def test_many_devices_are_changed_each_by_itself(writer, fleet):
    one, two, three = (factories.device(f"A-{number}") for number in range(3))
    tag = read(writer, two.pk).headers["ETag"]
    Device.objects.filter(pk=two.pk).update(phone_number="+60123456789")
    answer = patch(
        writer,
        {"id": one.pk, "site": "Penang", "mqtt_id": "m-1"},
        {"id": two.pk, "etag": tag, "site": "Penang"},
        {"id": three.pk, "mqtt_id": "m-1"},
        {"id": 10**9, "site": "Penang"},
        {"site": "Penang"},
    )
    assert outcomes(answer) == ["changed", "refused", "refused", "refused", "refused"]
    assert reasons(answer) == [[], ["etag"], ["mqtt_id"], ["id"], ["id"]]
    assert outcomes(patch(writer, {"id": one.pk, "site": "Penang"})) == ["unchanged"]
    assert reasons(patch(writer, {"id": one.pk, "site": None}, {"id": one.pk, "batch": "B7"})) == [["id"], ["id"]]


def test_a_thousand_changes_cost_the_statements_of_one(writer, fleet, django_assert_max_num_queries):
    made = Device.objects.bulk_create(
        Device(fleet=fleet, serial=f"A-{number}", registered_at=factories.NOW) for number in range(1000)
    )
    with django_assert_max_num_queries(20):
        answer = patch(writer, *({"id": device.pk, "site": "Penang", "status": "suspended"} for device in made))
    assert set(outcomes(answer)) == {"changed"}
    assert Device.objects.filter(site__name="Penang", status="suspended").count() == 1000


def test_reading_is_not_writing(reader, client_for, fleet):
    device = factories.device("A-1")
    assert post(reader, row("A-2")).status_code == 403
    assert patch(reader, {"id": device.pk, "site": None}).status_code == 403
    only_scope = client_for("devices:write", permissions="view_", name="viewer")
    assert change(only_scope, device.pk, {"status": "retired"}, "*").status_code == 403
    assert (
        "inventory.change_device"
        in change(only_scope, device.pk, {"status": "retired"}, "*").json()["error"]["message"]
    )


# --- What every resource has -----------------------------------------------------------------------------------------


def test_an_object_that_was_seen_is_not_sent_again(reader, fleet):
    address = f"{DEVICES}{factories.device('A-1').pk}/"
    tag = reader.get(address).headers["ETag"]
    again = reader.get(address, headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert reader.get(address, headers={"If-None-Match": '"other"'}).status_code == 200


def test_lists_and_objects_are_trimmed_to_what_is_asked(reader, fleet):
    device = factories.device("A-1")
    assert reader.get(DEVICES, {"fields": "serial,fleet"}).json()["results"] == [{"fleet": "demo", "serial": "A-1"}]
    assert reader.get(f"{DEVICES}{device.pk}/", {"fields": "id"}).json() == {"id": device.pk}
    refused = reader.get(DEVICES, {"fields": "serial,pin"})
    assert refused.status_code == 400
    assert "'pin'" in refused.json()["error"]["details"]["fields"][0]
    assert "serial" in refused.json()["error"]["details"]["fields"][0]
    assert reader.get(reverse("api:devices-csv"), {"fields": "id"}).status_code == 400
