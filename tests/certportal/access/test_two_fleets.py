"""Operators of two fleets never see each other's names, serial numbers or counts, whatever address they open."""

import html
import re

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from certportal.models import User
from inventory.counters import folding
from renewal import coverage_counts
from tests.certportal.access import values
from tests.certportal.access.addresses import addresses
from tests.certportal.access.asking import BY_SESSION, Portal
from tests.certportal.access.two_fleets import OneFleet, member, plant, plant_portal

pytestmark = pytest.mark.long

# Made of letters that no other word has.
OURS, THEIRS = "Wqavo", "Zxuko"


@pytest.fixture(scope="module")
def planted(module_db):
    ours, theirs = plant(OURS), plant(THEIRS)
    ours.rows |= plant_portal()
    folding.fold_all()
    coverage_counts.count_anew(timezone.now())
    return ours, theirs


@pytest.fixture
def fleets(planted, db, settings):
    settings.API_REQUESTS_PER_MINUTE = 10**6
    cache.clear()
    return planted


@pytest.fixture
def browser(fleets, client):
    """A browser of somebody of the first fleet who may do everything but be a superuser."""
    client.force_login(_almighty(fleets[0]))
    client.raise_request_exception = False
    return client


@pytest.fixture
def portal(fleets, settings):
    """The portal of the same person, for many questions."""
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if each != BY_SESSION]
    return Portal(_almighty(fleets[0]))


def _almighty(of: OneFleet) -> User:
    person = member("ours", of)
    person.user_permissions.set(Permission.objects.all())
    return person


def found(words: set[str], response) -> set[str]:
    text = b"".join(response.streaming_content) if response.streaming else response.content
    body = html.unescape(text.decode("utf-8", "replace")) + str(response.headers)
    return {word for word in words if word.lower() in body.lower()}


def test_no_address_tells_a_word_of_another_fleet(fleets, portal):
    ours, theirs = fleets
    told = {}
    asked = [
        address.path(values.of(address, of_fleet))
        for address in addresses("portal")
        for of_fleet in (ours, theirs)
        # A refusal may quote the address.
        if not (of_fleet is theirs and values.echoes(address))
    ]
    for path in dict.fromkeys(asked):
        response = portal.ask("GET", path)
        if response.status_code >= 500 or found(theirs.words, response):
            told[path] = (response.status_code, found(theirs.words, response))
    assert told == {}


def test_no_question_in_an_address_brings_another_fleets_rows(fleets, portal):
    _ours, theirs = fleets
    asked: list[dict[str, object]] = [
        {name: theirs.rows[f"inventory_{name}"]} for name in ("fleet", "site", "batch", "device", "certificate")
    ]
    asked += [{"q": f"{word}-{THEIRS}"} for word in ("site", "batch")] + [{"q": f"D{THEIRS}"}]
    for query in asked:
        # A search quotes what was searched for.
        words = theirs.words - ({THEIRS} if "q" in query else set())
        for model in ("device", "certificate", "alert", "case", "auditevent", "unexpectedsighting", "expireddevice"):
            response = portal.ask("GET", reverse(f"admin:inventory_{model}_changelist"), data=query)
            assert found(words, response) == set(), (model, query)
            if response.status_code == 200 and model in {"device", "certificate"}:
                text = response.content.decode()
                assert re.search(r'<(?:p|nav) class="paginator.*?0 [a-z]', text, re.S), (model, query)
        for name in ("tiles", "map", "weeks", "needs", "campaigns", "latest", "crls"):
            response = portal.ask("GET", reverse("admin:dashboard_block", args=[name]), data=query)
            assert found(theirs.words, response) == set(), (name, query)


def test_the_search_answers_as_if_the_other_fleet_were_not_there(fleets, browser):
    _ours, theirs = fleets
    for word in [f"D{THEIRS}1", *sorted(theirs.words - {THEIRS})[:3], f"batch-{THEIRS}"]:
        there = browser.get(reverse("admin:search"), {"q": word})
        nowhere = browser.get(reverse("admin:search"), {"q": "never-heard-of"})
        assert there.url.replace(word, "WORD") == nowhere.url.replace("never-heard-of", "WORD")


def test_the_numbers_are_those_of_the_own_fleet(fleets, browser):
    ours, _theirs = fleets
    tiles = browser.get(reverse("admin:index")).context["tiles"]
    assert {tile.label: tile.count for tile in tiles}["devices"] == ours.fleet.devices.count()
    counted = browser.get("/api/v1/expiry/?by=fleet&bucket=month&ends_after=2020-01-01&ends_before=2035-01-01").json()
    assert [group["name"] for group in counted["results"]] == [ours.fleet.name]
    assert counted["groups"] == 1


def test_writing_treats_the_other_fleet_as_one_that_is_not_there(fleets, browser):
    _ours, theirs = fleets
    slug, device = theirs.fleet.slug, theirs.rows["inventory_device"]

    def sent(method: str, address: str, body: object):
        act = getattr(browser, method)
        return act(f"/api/v1/{address}", body, content_type="application/json", headers={"If-Match": "*"})

    serial = theirs.fleet.devices.first().serial
    for fleet in (slug, "no-such-fleet"):
        answer = sent("post", "devices/", {"fleet": fleet, "serial": serial})
        assert (answer.status_code, "There is no fleet" in answer.content.decode()) == (400, True)
        assert sent("post", "sites/", {"fleet": fleet, "name": "x"}).status_code == 400
        changed = sent("patch", "devices/", [{"fleet": fleet, "serial": serial, "status": "retired"}]).json()
        assert changed["counts"]["refused"] == 1
        assert (
            sent("post", "mutes/", {"fleet": fleet, "until": "2099-01-01T00:00:00Z", "reason": "x"}).status_code == 400
        )
    assert sent("patch", "devices/", [{"id": device, "status": "retired"}]).json()["counts"]["refused"] == 1
    assert sent("patch", f"devices/{device}/", {"status": "retired"}).status_code == 404
    assert sent("post", "cases/", {"device": device, "finding": "x", "proposal": "cleared"}).status_code == 400
    report = {"sightings": [{"seen_at": timezone.now().isoformat(), "fleet": slug, "device": serial}]}
    assert sent("post", "sightings/", report).json()["results"] == [{"outcome": "unknown"}]
    assert not theirs.fleet.devices.filter(status="retired").exists()


def test_what_fleets_share_is_changed_by_people_of_all_fleets(fleets, browser):
    ours, _theirs = fleets
    for model in ("profile", "authority", "alertpolicy"):
        address = reverse(f"admin:inventory_{model}_change", args=[ours.rows[f"inventory_{model}"]])
        assert browser.get(address).status_code == 200
        assert browser.post(address, {}).status_code == 403
    policy = ours.rows["inventory_alertpolicy"]
    change = {"data": {"enabled": False}, "content_type": "application/json", "headers": {"If-Match": "*"}}
    assert browser.patch(f"/api/v1/alert-policies/{policy}/", **change).status_code == 403
    planner = reverse("admin:profile_jitter", args=[ours.rows["inventory_profile"]])
    assert browser.get(planner).status_code == 200
    assert browser.post(planner, {}).status_code == 403


def test_a_person_of_no_fleet_sees_nothing(fleets, client):
    ours, theirs = fleets
    person = member("nobody")
    person.user_permissions.set(Permission.objects.all())
    client.force_login(person)
    for address in ("/admin/", "/admin/inventory/device/", "/admin/inventory/fleet/", "/api/v1/certificates/"):
        assert found(ours.words | theirs.words, client.get(address)) == set(), address


def test_a_person_of_all_fleets_sees_all_without_another_query(fleets, client, django_assert_num_queries):
    ours, theirs = fleets
    person = member("all", all_fleets=True)
    person.user_permissions.set(Permission.objects.all())
    client.force_login(person)
    text = client.get("/api/v1/fleets/").content.decode()
    assert ours.fleet.slug in text and theirs.fleet.slug in text
    # Session, user, two of permissions, and the page.
    with django_assert_num_queries(5):
        client.get("/api/v1/devices/")
