"""A list that does not understand its address says so and shows nothing: neither everything nor a silent emptiness."""

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone

from inventory.admin.filters import ActorFilter
from inventory.admin.strict_lists import NotUnderstood
from inventory.audit.record import SYSTEM
from inventory.models import Site
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.planning import Plan
from tests import factories
from tests.factories import DAY

DEVICES = "admin:inventory_device_changelist"
CERTIFICATES = "admin:inventory_certificate_changelist"
LISTS = sorted(
    (model for model in admin.site._registry if model._meta.app_label != "django_rq"),
    key=lambda model: model._meta.label,
)


def filters_of(model: type[Model], boss) -> list[str]:
    """Return the parameters of the filters of a list; whether something is there, and who acted, take any word."""
    request = RequestFactory().get("/")
    request.user = boss
    changelist = admin.site._registry[model].get_changelist_instance(request)
    choosing = [spec for spec in changelist.filter_specs if not isinstance(spec, ActorFilter)]
    names = [name for spec in choosing for name in spec.expected_parameters() if name]
    return [name for name in names if not name.endswith("__isnull")]


@pytest.mark.parametrize("model", LISTS, ids=lambda model: model._meta.label)
def test_every_filter_of_every_list_names_the_value_that_it_does_not_have(boss, small_fleet, model):
    registered = admin.site._registry[model]
    for name in filters_of(model, boss):
        request = RequestFactory().get("/", {name: "bogus"})
        request.user = boss
        with pytest.raises(NotUnderstood) as refused:
            registered.get_changelist_instance(request)
        assert refused.value.parameter == name and "bogus" in str(refused.value), name


@pytest.mark.parametrize("name", [DEVICES, CERTIFICATES, "admin:inventory_case_changelist"])
def test_a_page_with_a_bad_value_says_so_and_shows_no_row(client, boss, small_fleet, name):
    client.force_login(boss)
    answer = client.get(reverse(name), {"state": "bogus"})
    text = answer.content.decode()
    assert answer.status_code == 400
    assert "state: “bogus” is no value of this filter." in text and "Nothing is shown" in text
    assert "result_list" not in text


def test_the_refusal_names_the_values_there_are_and_leads_on(client, boss, small_fleet):
    client.force_login(boss)
    text = client.get(reverse(DEVICES), {"seen": "bogus", "connectivity__exact": "daily"}).content.decode()
    assert "It has: never, day, silent." in text
    assert f'href="{reverse(DEVICES)}?connectivity__exact=daily"' in text and f'href="{reverse(DEVICES)}"' in text


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ({"stat": "expired"}, "This list has no filter “stat”."),
        ({"connectivity": "bogus"}, "connectivity: “bogus” is no value of this filter."),
        ({"fleet": "99999999"}, "fleet: “99999999” is no value of this filter."),
        ({"site": "x"}, "site: “x” is no value of this filter."),
        ({"cursor": "x"}, "cursor: “x” is no place in this list."),
        ({"not_after__gte": "2027-13-45"}, "not_after__gte: “2027-13-45” is no value of this filter."),
        ({"state": "<script>alert(1)</script>"}, "&lt;script&gt;"),
    ],
)
def test_what_of_the_address_is_not_understood_is_named(client, boss, small_fleet, question, told):
    client.force_login(boss)
    answer = client.get(reverse(DEVICES), question)
    assert answer.status_code == 400 and told in answer.content.decode()


def test_a_group_beyond_those_that_are_offered_is_a_value(page, small_fleet, monkeypatch):
    monkeypatch.setattr("inventory.admin.filters.MOST_CHOICES", 0)
    site = Site.objects.get()
    assert "15 devices" in page(reverse(DEVICES), site=site.pk)


def test_a_group_that_the_person_does_not_see_is_none(client, viewer, small_fleet):
    other = factories.fleet("other")
    viewer.all_fleets = False
    viewer.save()
    viewer.fleet_memberships.create(fleet=small_fleet)
    client.force_login(viewer)
    assert client.get(reverse(DEVICES), {"fleet": small_fleet.pk}).status_code == 200
    assert client.get(reverse(DEVICES), {"fleet": other.pk}).status_code == 400


def test_a_filter_with_one_choice_narrows_and_refuses_as_well(client, boss, small_fleet):
    client.force_login(boss)
    profile = small_fleet.profile
    assert client.get(reverse(CERTIFICATES), {"profile__id__exact": profile.pk}).status_code == 200
    assert client.get(reverse(CERTIFICATES), {"profile__id__exact": profile.pk + 1}).status_code == 400


def test_the_choice_of_all_fleets_in_the_header_is_understood_everywhere(client, boss, small_fleet):
    client.force_login(boss)
    assert client.get(reverse(DEVICES), {"fleet": ""}).status_code == 200


def test_a_filter_of_one_campaign_is_refused_among_the_targets_of_all(client, boss, small_fleet):
    now = timezone.now()
    plan = Plan("spring", Selection(small_fleet, now, now + 60 * DAY), now + 30 * DAY)
    campaign = planning.plan(plan, now=now, actor=SYSTEM)
    client.force_login(boss)
    targets = reverse("admin:renewal_target_changelist")
    assert client.get(targets, {"campaign": campaign.pk, "doubt": "bogus"}).status_code == 400
    assert client.get(targets, {"refused": "key_reused"}).status_code == 400


def test_exports_and_acts_of_a_list_still_refuse_what_it_does_not_understand(client, boss, small_fleet):
    client.force_login(boss)
    for address in (
        reverse("admin:inventory_device_export", args=["csv"]),
        reverse("admin:inventory_alert_acknowledge"),
        reverse("admin:inventory_expireddevice_secrets"),
    ):
        assert client.get(address, {"fleet": "bogus"}).status_code == 404, address
