"""What people see instead of a page: what was refused, what it takes, where to go on."""

import pytest

from certportal.roles import make_missing


@pytest.fixture
def looks(client, viewer):
    make_missing()
    client.force_login(viewer)
    return client


def test_a_page_that_one_may_not_open_names_the_permission_and_who_has_it(looks):
    answer = looks.get("/admin/renewal/campaign/plan/")
    text = answer.content.decode()
    assert answer.status_code == 403
    assert "You may not open this page" in text
    assert "renewal.add_campaign" in text
    assert "<bdi>operator</bdi>" in text
    assert 'id="portal-nav"' in text


def test_a_page_of_the_admin_itself_names_its_permission(looks):
    assert "inventory.add_device" in looks.get("/admin/inventory/device/add/").content.decode()


def test_an_act_that_was_refused_says_that_nothing_was_done(looks):
    answer = looks.post("/admin/renewal/campaign/plan/", {})
    assert answer.status_code == 403
    assert "Nothing was done." in answer.content.decode()


@pytest.mark.parametrize("address", ["/admin/nothing-here/", "/admin/renewal/campaign/999/pause/", "/x"])
def test_what_there_is_not_is_said_in_the_frame_of_the_portal(page, address):
    answer = page.client.get(address)
    text = answer.content.decode()
    assert answer.status_code == 404
    assert "There is no such page" in text
    assert address in text
    assert 'id="portal-nav"' in text
    # Django's own complaint would list the addresses that there are.
    assert "tried" not in text


def test_a_hostile_address_does_nothing_on_the_page_that_names_it(page):
    text = page.client.get("/admin/<script>alert(1)</script>/").content.decode()
    assert "<script>alert" not in text


def test_who_is_not_logged_in_gets_one_line(client, db):
    answer = client.get("/nothing-here/")
    assert (answer.status_code, answer["Content-Type"]) == (404, "text/plain; charset=utf-8")
    assert answer.content == b"There is no such page.\n"
