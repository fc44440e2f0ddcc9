"""The pages for phones: small, by route, two taps to an outcome, and safe to send twice."""

import re
from uuid import uuid4

import pytest
from django.test import Client

from certportal.models import User
from inventory.models import AuditAction, AuditEvent, Site
from renewal.field import closing
from renewal.models import DeviceNote, Outcome, WorkOrder
from renewal.phone.views import MOST_LISTED
from tests import factories
from tests.factories import NOW, person
from tests.renewal.field.rows import opened, renew

pytestmark = pytest.mark.django_db
_MOST_BYTES = 60_000


@pytest.fixture(autouse=True)
def _quick(settings):
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture
def client(db) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def said(outcome: str = "dead_zone", **more: str) -> dict[str, str]:
    return {"outcome": outcome, "key": str(uuid4()), **more}


def kept(client: Client, order: WorkOrder, body: dict[str, str]):
    """Send what a phone kept while it had no network."""
    return client.post(f"/field/{order.pk}/close/", body, headers={"Accept": "application/json"})


def test_a_full_list_is_small_and_costs_as_many_queries_as_a_short_one(client, django_assert_num_queries):
    site = Site.objects.create(fleet=factories.fleet(), name="Kampung Baru " * 7)
    opened(3, site=site)
    counts = []
    for _ in range(2):
        with django_assert_num_queries(3):  # session, person, orders
            counts.append(client.get("/field/").content.count(b"data-order"))
        factories.enrolled_many([factories.device(site=site) for _ in range(MOST_LISTED + 5)])
        opened(1, site=site)
    assert counts[0] == 3
    page = client.get("/field/").content
    assert page.count(b"data-order") == MOST_LISTED and b"more follow" in page
    assert len(page) < _MOST_BYTES


def test_orders_stand_by_site_and_along_the_route(client):
    sites = [Site.objects.create(fleet=factories.fleet(), name=name) for name in ("Johor", "Penang")]
    _meters, orders = opened(4)
    places = [(1.0, sites[0]), (9.0, sites[1]), (1.3, sites[0]), (1.1, sites[0])]
    for order, (latitude, site) in zip(orders, places, strict=True):
        order.device.latitude, order.device.longitude, order.device.site = latitude, 100, site
        order.device.save()
    page = client.get("/field/").content.decode()
    assert re.findall(r'data-order="(\d+)"', page) == [str(orders[place].pk) for place in (0, 3, 2, 1)]
    assert page.index("Johor") < page.index("Penang")


def test_an_order_shows_what_is_known(client):
    _meters, [order] = opened(latitude="3.139003", longitude="101.686855")
    DeviceNote.objects.create(device=order.device, model="E450", battery="ER34615", sim="Maxis")
    page = client.get(f"/field/{order.pk}/").content.decode()
    for text in (order.device.serial, "geo:3.139003,101.686855", "E450", "ER34615", "Maxis"):
        assert text in page
    assert len(page) < _MOST_BYTES


def test_an_outcome_closes_the_order_and_leads_back_to_it(client):
    _meters, [order] = opened()
    answer = client.post(f"/field/{order.pk}/close/", said(note="dog"))
    assert (answer.status_code, answer.url) == (302, f"/field/{order.pk}/")
    page = client.get(answer.url).content.decode()
    assert "dead zone" in page and "dog" in page and "data-keep" not in page


def test_what_a_phone_sends_twice_counts_once(client):
    _meters, [order] = opened()
    body = said("renewed_on_site")
    assert [kept(client, order, body).json() for _ in range(3)] == [{"closed": order.pk}] * 3
    assert AuditEvent.objects.filter(action=AuditAction.WORK_ORDER_CLOSED).count() == 1


def test_a_phone_that_comes_too_late_is_told_who_was_first(client):
    _meters, [order] = opened()
    closing.close(order.pk, closing.Finding(Outcome.DEAD_ZONE), now=NOW, actor=person("ali"))
    answer = kept(client, order, said())
    assert answer.status_code == 409 and "by ali" in answer.json()["problem"]


@pytest.mark.parametrize("wrong", [{"outcome": "renewed"}, {"key": "x"}, {"outcome": ""}, {"note": "x" * 501}])
def test_a_form_that_says_something_else_closes_nothing(client, wrong):
    _meters, [order] = opened()
    assert kept(client, order, said() | wrong).status_code == 409
    assert WorkOrder.objects.open().count() == 1


def test_a_refused_form_shows_why_and_keeps_what_was_written(client):
    _meters, [order] = opened()
    answer = client.post(f"/field/{order.pk}/close/", said("replaced", note="roof", replaced_by="two words"))
    page = answer.content.decode()
    assert answer.status_code == 409 and "as its label says" in page and "roof" in page and "two words" in page


def test_the_page_hears_of_the_device_by_itself_and_then_stops_asking(client):
    [meter], [order] = opened()
    address = f"/field/{order.pk}/state/"
    assert client.get(address).status_code == 200
    renew(meter, used=False)
    answer = client.get(address)
    assert answer.status_code == 200 and b"not yet seen with it" in answer.content
    renew(meter)
    answer = client.get(address)
    assert answer.status_code == 286 and b"Seen with the new certificate" in answer.content
    assert b"hx-get" not in client.get(f"/field/{order.pk}/").content


def test_nobody_waits_for_what_is_gone(client):
    _meters, [order] = opened()
    kept(client, order, said("decommissioned"))
    assert client.get(f"/field/{order.pk}/state/").status_code == 286


def test_names_are_shown_and_not_obeyed(client):
    site = Site.objects.create(fleet=factories.fleet(), name="<script>alert(1)</script>")
    _meters, [order] = opened(site=site)
    for address in ("/field/", f"/field/{order.pk}/"):
        assert "<script>alert" not in client.get(address).content.decode()


def test_no_page_holds_inline_code(client):
    _meters, [order] = opened()
    for address in ("/field/", f"/field/{order.pk}/"):
        page = client.get(address).content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=", page)


def test_a_page_is_kept_by_nobody_but_the_phone(client):
    assert "no-store" in client.get("/field/").headers["Cache-Control"]


def test_who_may_only_look_gets_no_outcomes(client):
    _meters, [order] = opened()
    from django.contrib.auth.models import Permission

    viewer = User.objects.create_user("viewer", is_staff=True, all_fleets=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__in=["view_workorder", "view_orders_of_all_teams"]))
    client.force_login(viewer)
    assert b"data-keep" not in client.get(f"/field/{order.pk}/").content
    assert kept(client, order, said()).status_code == 403
