"""A person of a field team sees and closes the orders of his or her teams only, wherever they are shown."""

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from certportal import roles
from certportal.models import User
from inventory.models import FleetMembership
from renewal.models import Outcome, Team, WorkOrder
from tests.factories import NOW, person
from tests.renewal.field.rows import opened, pks, team

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _quick(settings):
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture
def orders():
    """Two orders of one fleet: one of Ali's team, one of another."""
    _meters, made = opened(2)
    for order, each in zip(made, (team("ali"), team("siti", name="South")), strict=True):
        WorkOrder.objects.filter(pk=order.pk).update(team=each, assigned_at=NOW)
    return made


def browser(name: str, role: str = "field") -> Client:
    roles.make_missing()
    user = User.objects.get(username=name)
    user.groups.add(Group.objects.get(name=role))
    for each in Team.objects.all():
        FleetMembership.objects.get_or_create(user=user, fleet=each.fleet)
    client = Client()
    client.force_login(user)
    return client


def test_the_questions_of_a_person_find_the_orders_of_the_teams(orders):
    browser("ali")
    ali = User.objects.get(username="ali")
    assert pks(WorkOrder.objects.visible_to(ali)) == [orders[0].pk]


def test_no_page_shows_the_order_of_another_team(orders):
    client = browser("ali")
    own, other = orders
    addresses = ["/field/", "/field/?of=me", "/admin/renewal/workorder/?state=all", "/api/v1/escalations/"]
    addresses += [f"/api/v1/escalations/export.{kind}/" for kind in ("csv", "ndjson", "geojson")]
    addresses += [reverse("admin:renewal_workorder_export", args=[kind]) for kind in ("csv", "geojson")]
    for address in addresses:
        answer = client.get(address)
        text = b"".join(answer.streaming_content) if answer.streaming else answer.content
        assert answer.status_code == 200 and other.device.serial.encode() not in text, address
        assert ("of=me" in address) is (own.device.serial.encode() not in text), address


@pytest.mark.parametrize("address", ["/field/{}/", "/field/{}/state/", "/api/v1/escalations/{}/"])
def test_the_order_of_another_team_is_not_there(orders, address):
    client = browser("ali")
    assert client.get(address.format(orders[0].pk)).status_code == 200
    assert client.get(address.format(orders[1].pk)).status_code == 404


def test_the_order_of_another_team_is_not_closed(orders):
    client = browser("ali")
    said = {"outcome": "dead_zone", "key": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}
    assert client.post(f"/field/{orders[1].pk}/close/", said).status_code == 404
    answer = client.post(
        f"/api/v1/escalations/{orders[1].pk}/close/", {"outcome": "dead_zone"}, "application/json",
        headers={"If-Match": "*"},
    )  # fmt: skip
    assert answer.status_code == 404
    assert WorkOrder.objects.open().count() == 2


def test_who_may_not_assign_gives_nothing_away(orders):
    client = browser("ali")
    body = {"orders": pks(orders), "team": orders[0].pk}
    assert client.post("/api/v1/escalations/assign/", body, "application/json").status_code == 403
    assert client.get("/admin/renewal/workorder/assign/").status_code == 403


def test_an_order_without_a_team_is_for_dispatchers(orders):
    WorkOrder.objects.update(team=None)
    person("boss", is_staff=True)
    field, operator = browser("ali"), browser("boss", "operator")
    assert [field.get(f"/field/{orders[0].pk}/").status_code, operator.get(f"/field/{orders[0].pk}/").status_code] == [
        404, 200,
    ]  # fmt: skip


def test_who_is_not_logged_in_is_led_to_the_log_in_and_back():
    answer = Client().get("/field/")
    assert answer.url == "/admin/login/?next=/field/"


def test_who_may_see_no_orders_is_refused(orders):
    person("clerk", is_staff=True)
    client = Client()
    client.force_login(User.objects.get(username="clerk"))
    assert client.get("/field/").status_code == 403


def test_a_dispatcher_assigns_what_the_filters_choose(orders):
    person("boss", is_staff=True)
    client = browser("boss", "operator")
    north, south = Team.objects.order_by("name")
    shown = client.get(f"/admin/renewal/workorder/assign/?team={south.pk}").content.decode()
    assert "Assign 1 order" in shown and orders[1].device.serial in shown
    done = client.post(f"/admin/renewal/workorder/assign/?team={south.pk}", {"team": north.pk, "assigned_to": "ali"})
    assert done.status_code == 302
    assert set(WorkOrder.objects.values_list("team", flat=True)) == {north.pk}
    refused = client.post("/admin/renewal/workorder/assign/", {"team": north.pk, "assigned_to": "siti"})
    assert "Nobody of this name is in the team" in refused.content.decode()
    for state in (*Outcome.values, "all"):
        assert client.get(f"/admin/renewal/workorder/?state={state}").status_code == 200
    assert client.get(f"/admin/renewal/workorder/{orders[0].pk}/change/").status_code == 200
