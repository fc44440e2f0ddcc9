"""What a list or page names has its page a click away, for who may see it; what it counts has its rows."""

import re
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from certportal.models import User
from inventory.audit.record import SYSTEM
from inventory.models import AlertPolicy, Batch, Certificate, Delivery, Recipient, Site
from inventory.models.alert import AlertRun
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.planning import Plan
from renewal.models import Gateway, Team
from revocation.models import Crl
from tests import factories
from tests.factories import DAY

# Columns that name something with a page of its own, by list; the first column of a list leads to its own row.
NAMING = {
    "inventory_device": {"fleet_name": "fleet", "site_name": "site", "batch_name": "batch"},
    "inventory_certificate": {
        "device_serial": "device", "site_name": "site", "batch_name": "batch", "issuer": "authority",
    },
    "inventory_expireddevice": {"device_serial": "device", "fleet_name": "fleet", "site_name": "site"},
    "inventory_revokeddevice": {"device_serial": "device", "fleet_name": "fleet", "site_name": "site"},
    "inventory_fleet": {"authority_page": "authority", "profile_page": "profile"},
    "inventory_site": {"fleet_name": "fleet"},
    "inventory_batch": {"fleet_name": "fleet"},
    "inventory_authority": {"parent_page": "authority"},
    "inventory_alertpolicy": {"fleet_name": "fleet", "profile_name": "profile"},
    "inventory_delivery": {"to": "recipient"},
    "renewal_campaign": {"fleet_name": "fleet"},
    "renewal_target": {"device_serial": "device", "campaign_name": "campaign", "site_name": "site"},
    "renewal_team": {"fleet_name": "fleet"},
    "renewal_gateway": {"fleet_name": "fleet"},
    "revocation_crl": {"authority_name": "authority"},
}  # fmt: skip


class Columns(HTMLParser):
    """Collects the links of each column of the rows of a list."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: dict[str, set[str]] = {}
        self._column = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        if tag in {"td", "th"}:
            found = re.search(r"field-(\w+)", names.get("class") or "")
            self._column = found[1] if found else ""
            self.links.setdefault(self._column, set())
        elif tag == "a" and self._column:
            self.links[self._column].add(names.get("href") or "")


@pytest.fixture
def everything(small_fleet):
    """A row in each of the lists."""
    now, fleet = timezone.now(), small_fleet
    gone = factories.enrolled(
        factories.device(site=Site.objects.get(), batch=Batch.objects.get()), expires_in=-3 * DAY, now=now
    )
    plan = Plan("spring", Selection(fleet, now, now + 60 * DAY), now + 30 * DAY)
    campaign = planning.plan(plan, now=now, actor=SYSTEM)
    planning.start(campaign, now=now, actor=SYSTEM)
    AlertPolicy.objects.create(name="ours", applies_to="daily", fleet=fleet, profile=fleet.profile, thresholds=[90])
    recipient = Recipient.objects.create(name="shift", channel="email", address="shift@example.test")
    run = AlertRun.objects.create(started_at=now, finished_at=now)
    Delivery.objects.create(run=run, recipient=recipient, content={}, certificates=1, created_at=now)
    Team.objects.create(fleet=fleet, name="north")
    Gateway.objects.create(name="sms", driver="console", channel="sms", fleet=fleet, enabled=True, sender="us")
    Crl.objects.create(
        authority=fleet.authority, number=9, published_at=now, this_update=now, next_update=now + DAY, entries=1,
        size=1, sha256=b"1" * 32,
    )  # fmt: skip
    return campaign, gone


def columns(client, listed: str) -> dict[str, set[str]]:
    return Columns(client.get(reverse(f"admin:{listed}_changelist")).content.decode()).links


@pytest.mark.parametrize("listed", NAMING)
def test_names_in_lists_lead_to_their_pages(client, boss, everything, listed):
    client.force_login(boss)
    found = columns(client, listed)
    for column, model in NAMING[listed].items():
        pages = [link for link in found[column] if re.fullmatch(rf"/admin/\w+/{model}/\d+/change/", link)]
        assert pages, (column, found[column])
        assert all(client.get(link).status_code == 200 for link in pages[:2])


@pytest.mark.parametrize("listed", ["inventory_device", "inventory_certificate", "inventory_expireddevice"])
def test_names_lead_nowhere_for_who_may_not_see_their_pages(client, db, everything, listed):
    reader = User.objects.create_user("reader", is_staff=True, all_fleets=True)
    reader.user_permissions.set(Permission.objects.filter(codename__in=["view_device", "view_certificate"]))
    client.force_login(reader)
    found = columns(client, listed)
    for column, model in NAMING[listed].items():
        assert bool(found[column]) == (model == "device"), column


def test_a_list_costs_as_many_queries_with_its_links(page, everything, django_assert_max_num_queries):
    with django_assert_max_num_queries(25):
        page(reverse("admin:inventory_device_changelist"))


def test_no_list_names_a_fleet_site_batch_or_authority_without_a_link(client, boss, everything):
    """Of every list there is: a column so called has a link, or the list is not in our table for a reason."""
    client.force_login(boss)
    called = {"fleet_name", "site_name", "batch_name", "authority_name", "issuer", "device_serial", "campaign_name"}
    for model, registered in admin.site._registry.items():
        listed = f"{model._meta.app_label}_{model._meta.model_name}"
        named = called & set(map(str, registered.list_display))
        if named and listed != "renewal_workorder":  # of which no fixture has a row
            assert named <= NAMING[listed].keys(), listed


def test_pages_of_devices_and_certificates_lead_to_what_they_name(page, everything):
    _campaign, gone = everything
    device = gone.device
    text = page(reverse("admin:inventory_device_change", args=[device.pk]))
    fleet = device.fleet
    for model, pk in {
        "inventory_fleet": fleet.pk,
        "inventory_site": device.site_id,
        "inventory_batch": device.batch_id,
        "inventory_authority": fleet.authority_id,
    }.items():
        assert f'href="{reverse(f"admin:{model}_change", args=[pk])}"' in text, model
    certificate = page(reverse("admin:inventory_certificate_change", args=[gone.certificate.pk]))
    for model, pk in {"inventory_profile": fleet.profile_id, "inventory_authority": fleet.authority_id}.items():
        assert f'href="{reverse(f"admin:{model}_change", args=[pk])}"' in certificate, model


def test_pages_of_groups_and_rules_lead_to_their_rows(client, boss, everything):
    client.force_login(boss)
    campaign, _gone = everything
    fleet = campaign.fleet
    for model, pk in {
        "inventory_fleet": fleet.pk,
        "inventory_site": Site.objects.get().pk,
        "inventory_batch": Batch.objects.get().pk,
        "inventory_profile": fleet.profile_id,
        "inventory_authority": fleet.authority_id,
    }.items():
        text = client.get(reverse(f"admin:{model}_change", args=[pk])).content.decode()
        lists = re.findall(r'href="(/admin/inventory/(?:certificate|device)/\?[^"]*)"', text)
        assert lists, model
        assert {client.get(link.replace("&amp;", "&")).status_code for link in lists} == {200}, model


def test_each_number_of_the_table_of_weeks_leads_to_as_many_rows(client, boss, small_fleet):
    client.force_login(boss)
    text = client.get(reverse("admin:dashboard_block", args=["weeks"])).content.decode()
    cells = re.findall(r'<td class="number"><a href="([^"]+)">([\d,]+)</a></td>', text)
    assert cells
    for url, count in cells:
        listed = client.get(url.replace("&amp;", "&")).content.decode()
        assert re.search(rf'<span class="number">\s*{count} certificates?</span>', listed), url


def test_what_has_expired_leads_to_its_rows_and_to_the_queue_in_which_it_is_enrolled_anew(client, boss, small_fleet):
    client.force_login(boss)
    text = client.get(reverse("admin:dashboard_block", args=["needs"])).content.decode()
    line = next(each for each in re.findall(r"<li.*?</li>", text, re.S) if "enrol them anew" in each)
    rows, queue = (urlsplit(link.replace("&amp;", "&")) for link in re.findall('href="([^"]+)"', line))
    assert parse_qs(rows.query)["coverage"] == ["expired"]
    assert queue.path == reverse("admin:inventory_expireddevice_changelist")
    ended = Certificate.objects.get(not_after__lt=timezone.now()).device
    assert ended and ended.serial in client.get(queue.path).content.decode()
