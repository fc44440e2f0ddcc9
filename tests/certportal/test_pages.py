"""All pages: they open, they carry no inline code or style, and hostile names do nothing on them."""

import json
from html.parser import HTMLParser

import pytest
from django.contrib import admin
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from inventory.audit import record
from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, Batch, Certificate, Fleet, Site
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.planning import Plan
from tests import factories
from tests.factories import DAY

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)> \u202egnp.exe'


class Inline(HTMLParser):
    """Collects whatever a strict policy would refuse, and images of other places, as a browser would read them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        source = names.get("src") or ""
        # Scripts come from files of ours; what the admin hands to its own script as JSON is data.
        ours = source.startswith(("/static/", "/admin/jsi18n")) or names.get("type") == "application/json"
        if tag == "style" or (tag == "script" and not ours):
            self.found.append(f"<{tag} {names}>")
        for name, value in attrs:
            if name == "style" or name.startswith("on") or (value or "").strip().lower().startswith("javascript:"):
                self.found.append(f"<{tag} {name}={value}>")
        if tag == "img" and not (names.get("src") or "").startswith("/static/"):
            self.found.append(f"<img {names}>")


@pytest.fixture
def hostile_fleet(small_fleet):
    """A fleet in which every name that a person or device can choose is an attack."""
    Fleet.objects.update(name=HOSTILE)
    Site.objects.update(name=HOSTILE)
    Batch.objects.update(name=HOSTILE)
    now = timezone.now()
    selection = Selection(small_fleet, now, now + 100 * DAY)
    campaign = planning.plan(Plan(HOSTILE, selection, now + 30 * DAY), now=now, actor=SYSTEM)
    campaign.targets.update(state="escalated", reason="no_channel", escalated_at=now, next_step_at=None)
    device = campaign.targets.first().device
    details = {"note": HOSTILE, "reason": HOSTILE}
    event = record.event(
        AuditAction.RENEWAL_REFUSED, now=now, actor=SYSTEM, object_name=HOSTILE, device=device, details=details
    )
    record.record([event])
    return campaign


def addresses(campaign) -> list[str]:
    target = campaign.targets.first()
    pages = [
        reverse("admin:index"),
        *(reverse("admin:index") + f"?rows={axis}&span=365" for axis in ("site", "batch", "fleet")),
        reverse("admin:renewal_campaign_plan"),
        reverse("admin:renewal_campaign_start", args=[campaign.pk]),
        reverse("admin:renewal_campaign_progress", args=[campaign.pk]),
        reverse("admin:revoke_certificate", args=[target.certificate_id]),
        reverse("admin:work"),
        reverse("admin:configuration"),
        reverse("admin:handbook"),
        reverse("admin:app_list", args=["inventory"]),
        reverse("admin:app_list", args=["certportal"]),
        reverse("admin:password_change"),
    ]
    for model, pk in {
        "inventory_device": target.device_id,
        "inventory_certificate": target.certificate_id,
        "inventory_fleet": campaign.fleet_id,
        "inventory_site": Site.objects.first().pk,
        "inventory_batch": Batch.objects.first().pk,
        "inventory_profile": campaign.fleet.profile_id,
        "inventory_authority": campaign.fleet.authority_id,
        "inventory_auditevent": target.device.audit_events.first().pk,
        "renewal_campaign": campaign.pk,
        "renewal_target": target.pk,
    }.items():
        pages += [reverse(f"admin:{model}_changelist"), reverse(f"admin:{model}_change", args=[pk])]
    lists = ["revocation_crl", "certportal_user", "certportal_apitoken", "auth_group"]
    adds = ["inventory_device", "inventory_fleet", "inventory_profile", "inventory_site", "inventory_batch"]
    return [
        *pages,
        *(reverse(f"admin:{model}_changelist") for model in lists),
        *(reverse(f"admin:{model}_add") for model in adds),
    ]


def test_every_page_opens_without_inline_code_and_shows_hostile_names_as_text(hostile_fleet, page):
    for address in addresses(hostile_fleet):
        text = page(address)
        assert Inline(text).found == [], address
        policy = page.client.get(address).headers["Content-Security-Policy"]
        assert "script-src 'self';" in f"{policy};" and "style-src 'self';" in f"{policy};", address


def test_a_name_that_turns_its_direction_is_spelled_out(hostile_fleet, page):
    for address in (reverse("admin:index"), reverse("admin:inventory_device_changelist")):
        assert "\\u202egnp.exe" in page(address)


def test_only_the_pages_of_the_queues_relax_the_policy(page):
    response = page.client.get(reverse("admin:django_rq_home"))
    assert response.status_code == 200
    policy = response.headers["Content-Security-Policy"]
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "script-src 'self'" in policy


def test_nothing_of_inventory_or_log_can_be_deleted(hostile_fleet, page):
    target = hostile_fleet.targets.first()
    for model, pk in [
        ("inventory_device", target.device_id),
        ("inventory_certificate", target.certificate_id),
        ("inventory_auditevent", target.device.audit_events.first().pk),
        ("inventory_authority", hostile_fleet.fleet.authority_id),
        ("renewal_campaign", hostile_fleet.pk),
    ]:
        assert page.client.post(reverse(f"admin:{model}_delete", args=[pk]), {"post": "yes"}).status_code == 403


def test_a_new_device_takes_no_site_or_batch_of_another_fleet(small_fleet, page):
    other = factories.fleet("other")
    groups = {"site": Site.objects.create(fleet=other, name="S"), "batch": Batch.objects.create(fleet=other, name="B")}
    form = {
        "fleet": small_fleet.pk, "serial": "NEW-1", "connectivity": "daily", "status": "in_service",
        **{field: group.pk for field, group in groups.items()},
    }  # fmt: skip
    add = reverse("admin:inventory_device_add")
    text = page.client.post(add, form).content.decode()
    assert "S is of another fleet; choose one of the fleet of the device." in text
    assert "B is of another fleet; choose one of the fleet of the device." in text
    assert page.client.post(add, {**form, "fleet": other.pk}).status_code == 302


def test_a_site_does_not_move_to_another_fleet(small_fleet, page):
    site = Site.objects.create(fleet=small_fleet, name="Stays")
    address = reverse("admin:inventory_site_change", args=[site.pk])
    page.client.post(address, {"name": "Stays", "fleet": factories.fleet("other").pk})
    site.refresh_from_db()
    assert site.fleet == small_fleet


def test_the_story_of_a_device_says_what_happens_next(hostile_fleet, page):
    planning.start(hostile_fleet, now=timezone.now(), actor=SYSTEM)
    target = hostile_fleet.targets.first()
    text = page(reverse("admin:inventory_device_change", args=[target.device_id]))
    assert "<bdi>it has neither an MQTT id nor a phone number</bdi>. A person must look at the device." in text
    assert text.count("renewal refused") >= 1
    assert "first certificate issued" in text


def test_a_renewed_device_shows_its_lineage(small_fleet, page):
    certificate = Certificate.objects.of_devices().filter(state="confirmed").last()
    text = page(reverse("admin:inventory_certificate_change", args=[certificate.pk]))
    assert "Lineage" in text
    assert "clientAuth" in text
    pem = page.client.get(reverse("admin:inventory_certificate_download", args=[certificate.pk]))
    assert pem.content.startswith(b"-----BEGIN CERTIFICATE-----")
    assert f'filename="{certificate.device.serial}-' in pem.headers["Content-Disposition"]


def test_the_search_leads_straight_to_the_one_thing_it_names(small_fleet, page):
    certificate = Certificate.objects.of_devices().select_related("device").last()
    for term, model, pk in [
        (certificate.device.serial, "inventory_device", certificate.device_id),
        (certificate.serial, "inventory_certificate", certificate.pk),
        (bytes(certificate.sha256).hex(":"), "inventory_certificate", certificate.pk),
    ]:
        response = page.client.get(reverse("admin:search"), {"q": term})
        assert response.url == reverse(f"admin:{model}_change", args=[pk])
    assert "0 devices" in page(reverse("admin:search"), q="nothing-like-this")


@pytest.mark.parametrize(
    "query", ["not_after__gte=never", "state=odd", "fleet=x", "site=-1", "seen=odd", "coverage=odd"]
)
def test_a_filter_nobody_offers_is_refused_and_no_error(small_fleet, page, query):
    for model in ("inventory_certificate", "inventory_device"):
        response = page.client.get(f"{reverse(f'admin:{model}_changelist')}?{query}")
        assert response.status_code == 400, (model, query)


def test_lists_read_a_constant_number_of_times(small_fleet, page, django_assert_max_num_queries):
    for model in ("inventory_device", "inventory_certificate"):
        address = reverse(f"admin:{model}_changelist")
        with django_assert_max_num_queries(14):
            page(address)
    factories.enrolled(factories.device(), now=timezone.now())
    with django_assert_max_num_queries(14):
        page(reverse("admin:inventory_device_changelist"))


@pytest.mark.parametrize("model", ["inventory_device", "inventory_certificate", "renewal_campaign", "inventory_site"])
def test_the_choice_of_a_fleet_keeps_the_list_and_what_else_it_is_narrowed_by(small_fleet, page, model):
    address = reverse(f"admin:{model}_changelist")
    site = Site.objects.get()
    choice = page.client.get(address, {"q": "a", "site": site.pk} if "_device" in model else {}).context["fleet_choice"]
    assert choice.url == address
    assert choice.kept == ([("q", "a")] if "_device" in model else [])
    assert page.client.get(address, {"fleet": ""}).status_code == 200
    narrowed = page.client.get(address, {"fleet": small_fleet.pk})
    assert narrowed.status_code == 200
    assert narrowed.context["fleet_choice"].chosen == str(small_fleet.pk)


def test_the_choice_of_a_fleet_leads_to_the_dashboard_from_where_there_is_none_to_choose(small_fleet, page):
    index = reverse("admin:index")
    for address in (
        reverse("admin:inventory_auditevent_changelist"),
        reverse("admin:inventory_device_change", args=[small_fleet.devices.first().pk]),
        reverse("admin:renewal_campaign_plan"),
    ):
        choice = page.client.get(address).context["fleet_choice"]
        assert (choice.url, choice.kept) == (index, [])
    assert page.client.get(index, {"rows": "batch"}).context["fleet_choice"].kept == [("rows", "batch")]


def test_every_static_file_that_pages_name_is_collected(settings, tmp_path):
    """The manifest is strict: a file named in a stylesheet and missing stops the release, not a page."""
    settings.STATIC_ROOT = tmp_path
    manifest = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": manifest}}
    call_command("collectstatic", interactive=False, verbosity=0)
    names = json.loads((tmp_path / "staticfiles.json").read_text())["paths"]
    assert {"certportal/portal.css", "certportal/portal.js", "certportal/icon.svg", "django_htmx/htmx-2.min.js"} <= {
        *names
    }


def test_each_list_is_in_the_header_in_work_or_in_the_configuration(page):
    led_to = page(reverse("admin:index")) + page(reverse("admin:work")) + page(reverse("admin:configuration"))
    # Targets are looked at by campaign; what-if runs are beside the list of campaigns.
    apart = {"renewal_target", "renewal_rehearsal"}
    lists = {f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry} - apart
    assert [name for name in lists if f'href="{reverse(f"admin:{name}_changelist")}' not in led_to] == []
