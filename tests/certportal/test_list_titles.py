"""What a list says that it holds, and how each of its filters is taken off again."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone

from inventory.admin import links
from inventory.models import Device, Fleet, Site
from tests import factories


def heading(text: str) -> str:
    return unescape(re.findall(r"<h1>([^<]+)</h1>", text)[0])


def chips(text: str) -> dict[str, tuple[str, str]]:
    found = re.findall(r'<li>([^<]+) <bdi>([^<]*)</bdi> <a href="([^"]+)"', text)
    return {name: (unescape(word), unescape(address)) for name, word, address in found}


@pytest.fixture
def day(small_fleet):
    """The day on which twelve of the certificates end."""
    return (timezone.now() + timedelta(days=40)).replace(hour=0, minute=0, second=0, microsecond=0)


def test_the_title_says_what_is_listed_and_how_many(small_fleet, day, page):
    one_day = links.certificates(expires_from=day, expires_before=day + timedelta(days=1))
    assert heading(page(one_day)) == f"Certificates of devices that expire on {day.date()}: 12"
    site = Site.objects.get(name="Penang")
    assert heading(page(links.devices(site=site.pk))) == "Devices, site Penang: 15"
    assert heading(page(links.devices())) == f"Devices: {Device.objects.count()}"
    assert "<title>Devices, site Penang: 15 | certportal</title>" in page(links.devices(site=site.pk))


def test_each_filter_is_taken_off_by_itself(small_fleet, day, page):
    fleet = Fleet.objects.get()
    address = links.certificates(expires_from=day, expires_before=day + timedelta(days=1), fleet=fleet.pk)
    shown = chips(page(f"{address}&q=00"))
    assert set(shown) == {"expiry", "fleet", "purpose", "search"}
    word, without = shown["fleet"]
    assert word == fleet.name
    assert "fleet=" not in without
    assert "not_after__gte=" in without
    assert "q=00" in without
    narrower = page(reverse("admin:inventory_certificate_changelist") + without)
    assert set(chips(narrower)) == {"expiry", "purpose", "search"}


def test_a_list_that_is_not_narrowed_has_nothing_to_take_off(small_fleet, page):
    assert chips(page(links.devices())) == {}
    # The header's choice of all fleets leaves the parameter empty.
    assert chips(page(links.devices() + "?fleet=")) == {}


def test_what_only_the_address_says_is_said_too(small_fleet, page):
    device = Device.objects.first()
    shown = chips(page(links.audit(device=device.pk)))
    assert shown["device"][0] == str(device)
    since = chips(page(links.audit(at__gte="2026-01-01T00:00:00Z")))
    assert next(iter(since.values()))[0] == "from 2026-01-01"


def test_the_name_of_a_group_that_one_does_not_see_is_not_told(small_fleet, viewer, client):
    other = factories.fleet(slug="other", name="Secret plant")
    type(viewer).objects.filter(pk=viewer.pk).update(all_fleets=False)
    viewer.fleet_memberships.create(fleet=small_fleet)
    client.force_login(viewer)
    assert "Secret plant" not in client.get(links.devices(fleet=other.pk)).content.decode()
    assert "Secret plant" not in client.get(links.audit(device=factories.device(fleet=other).pk)).content.decode()


def test_days_near_are_offered_by_their_words(small_fleet, page):
    text = page(links.certificates())
    for word in ("today", "tomorrow", "this week"):
        assert f">{word}</a>" in text
