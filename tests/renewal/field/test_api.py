"""Work orders, teams and notes over the API."""

import pytest
from django.test import Client

from certportal.models import User
from inventory.models import Device
from renewal.models import DeviceNote, Team, WorkOrder
from tests import factories
from tests.factories import DAY
from tests.renewal.field.rows import opened, pks, renew, team

pytestmark = pytest.mark.django_db
ORDERS = "/api/v1/escalations/"


@pytest.fixture(autouse=True)
def _unbraked(settings):
    settings.API_REQUESTS_PER_MINUTE = 10**6


@pytest.fixture
def client(db) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def sent(client: Client, method: str, address: str, body: object, **headers: str):
    return getattr(client, method)(address, body, content_type="application/json", headers=headers)


def serials(answer) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [order["device"]["serial"] for order in answer.json()["results"]]


def test_the_list_begins_with_what_is_due_first(client):
    soon, later = (factories.enrolled(expires_in=days * DAY) for days in (5, 50))
    opened(1)
    found = serials(client.get(ORDERS))
    assert found[0] == soon.device.serial and found[-1] == later.device.serial


@pytest.mark.parametrize("number", [1, 6])
def test_a_page_costs_the_same_for_any_number(client, number, django_assert_num_queries):
    opened(number)
    with django_assert_num_queries(4):  # session, person, orders, how often such devices came back
        client.get(ORDERS)


def test_each_filter_narrows_the_list(client):
    _meters, orders = opened(2)
    north = team("ali")
    body = {"orders": [orders[0].pk], "team": north.pk, "assigned_to": "ali"}
    assert sent(client, "post", f"{ORDERS}assign/", body).json() == {"assigned": 1}
    serial, other = (order.device.serial for order in orders)
    for query in ("team=North", "assigned_to=ali", f"device={serial}"):
        assert serials(client.get(f"{ORDERS}?{query}")) == [serial], query
    closed = sent(client, "post", f"{ORDERS}{orders[1].pk}/close/", {"outcome": "dead_zone"}, **{"If-Match": "*"})
    assert closed.status_code == 200
    assert serials(client.get(f"{ORDERS}?state=open")) == [serial]
    assert (
        serials(client.get(f"{ORDERS}?state=closed")) == serials(client.get(f"{ORDERS}?outcome=dead_zone")) == [other]
    )
    assert client.get(f"{ORDERS}?team=South").status_code == 400


def test_closing_needs_the_order_as_it_was_seen(client):
    [meter], [order] = opened()
    address = f"{ORDERS}{order.pk}/"
    etag = client.get(address).headers["ETag"]
    body = {"outcome": "renewed_on_site", "note": "reset"}
    assert sent(client, "post", f"{address}close/", body).status_code == 428
    renew(meter, used=False)
    assert sent(client, "post", f"{address}close/", body, **{"If-Match": etag}).status_code == 412
    answer = client.get(address)
    assert answer.json()["fetched_at"] and not answer.json()["renewed_at"]
    done = sent(client, "post", f"{address}close/", body, **{"If-Match": answer.headers["ETag"]})
    assert (done.status_code, done.json()["outcome"], done.json()["closed_by"]) == (200, "renewed_on_site", "boss")
    assert done.headers["ETag"] == client.get(address).headers["ETag"]


def test_a_close_that_is_sent_again_under_its_key_answers_the_same(client):
    _meters, [order] = opened()
    headers = {"If-Match": client.get(f"{ORDERS}{order.pk}/").headers["ETag"], "Idempotency-Key": "k1"}
    answers = [
        sent(client, "post", f"{ORDERS}{order.pk}/close/", {"outcome": "decommissioned"}, **headers) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert Device.objects.get(pk=order.device_id).status == "retired"


def test_an_order_that_is_closed_says_by_whom(client):
    _meters, [order] = opened()
    for expected in (200, 409):
        answer = sent(client, "post", f"{ORDERS}{order.pk}/close/", {"outcome": "dead_zone"}, **{"If-Match": "*"})
        assert answer.status_code == expected


@pytest.mark.parametrize(
    "body",
    [{}, {"outcome": "renewed"}, {"outcome": "replaced"}, {"outcome": "dead_zone", "replaced_by": "N1"}, {"x": 1}],
)
def test_a_finding_that_does_not_fit_is_refused_by_field(client, body):
    _meters, [order] = opened()
    answer = sent(client, "post", f"{ORDERS}{order.pk}/close/", body, **{"If-Match": "*"})
    assert answer.status_code == 400 and WorkOrder.objects.open().count() == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"orders": [2**62]}, "orders"),
        ({"orders": []}, "orders"),
        ({"team": 2**62}, "team"),
        ({"assigned_to": "nobody"}, "assigned_to"),
    ],
)
def test_an_assignment_names_what_is_wrong(client, change, field):
    _meters, orders = opened()
    body = {"orders": pks(orders), "team": team("ali").pk} | change
    answer = sent(client, "post", f"{ORDERS}assign/", body)
    assert answer.status_code == 400 and field in answer.content.decode()


def test_a_team_is_made_and_changed(client):
    fleet = factories.fleet()
    User.objects.create_user("ali")
    made = sent(client, "post", "/api/v1/teams/", {"fleet": fleet.slug, "name": "North", "members": ["ali"]})
    assert (made.status_code, made.json()["members"]) == (201, ["ali"])
    address = f"/api/v1/teams/{made.json()['id']}/"
    changed = sent(client, "patch", address, {"members": []}, **{"If-Match": made.headers["ETag"]})
    assert (changed.status_code, changed.json()["members"]) == (200, [])
    factories.fleet("other")
    moved = sent(client, "patch", address, {"fleet": "other"}, **{"If-Match": "*"})
    assert moved.status_code == 400 and "stays in its fleet" in moved.content.decode()
    assert Team.objects.get().fleet == fleet


@pytest.mark.parametrize("member", ["nobody", 7, "a\x00b", None])
def test_a_member_is_a_user_name(client, member):
    body = {"fleet": factories.fleet().slug, "name": "North", "members": [member]}
    assert sent(client, "post", "/api/v1/teams/", body).status_code == 400


def test_a_note_is_written_once_a_device_and_stays_with_it(client):
    device, other = factories.device(), factories.device()
    made = sent(client, "post", "/api/v1/device-notes/", {"device": device.pk, "model": "E450"})
    assert made.status_code == 201
    again = sent(client, "post", "/api/v1/device-notes/", {"device": device.pk, "model": "E500"})
    assert again.status_code in {400, 409} and DeviceNote.objects.get().model == "E450"
    address = f"/api/v1/device-notes/{device.pk}/"
    changed = sent(client, "patch", address, {"sim": "Maxis"}, **{"If-Match": made.headers["ETag"]})
    assert (changed.status_code, changed.json()["sim"]) == (200, "Maxis")
    moved = sent(client, "patch", address, {"device": other.pk}, **{"If-Match": "*"})
    assert moved.status_code == 400 and DeviceNote.objects.count() == 1


@pytest.mark.parametrize("kind", ["csv", "xlsx", "ndjson", "pdf", "geojson"])
def test_the_list_leaves_as_a_file(client, kind):
    opened(2)
    answer = client.get(f"{ORDERS}export.{kind}/?state=open")
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    assert answer.status_code == 200 and content
