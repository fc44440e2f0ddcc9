"""Dangerous verbs: shown with their consequences, done on POST only, once, and with a trace."""

import re
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from inventory.audit.record import SYSTEM
from inventory.issuing.certificates import Admission, issue
from inventory.models import AuditAction, AuditEvent, Certificate, Device, Fleet, Site
from renewal.campaigns import ladder_text, planning
from renewal.campaigns.ladder import DEFAULT
from renewal.channels import trouble
from renewal.channels.messages import Delivery, Fate
from renewal.models import Campaign, CampaignState, Channel, Target
from tests import factories
from tests.factories import DAY, certification_request


@pytest.fixture
def certificate(small_fleet) -> Certificate:
    return Certificate.objects.of_devices().filter(state="confirmed").latest("id")


def revoke_address(certificate) -> str:
    return reverse("admin:revoke_certificate", args=[certificate.pk])


def test_looking_at_the_page_revokes_nothing(certificate, page):
    text = page(revoke_address(certificate))
    assert "Revoke 1 certificate" in text
    assert "no other valid certificate: it is cut off" in text
    assert Certificate.objects.get(pk=certificate.pk).state == "confirmed"


def test_without_a_reason_nothing_is_revoked(certificate, page):
    response = page.client.post(revoke_address(certificate), {"reason": ""})
    assert b"This field is required" in response.content
    assert Certificate.objects.get(pk=certificate.pk).state == "confirmed"


def test_revoking_keeps_reason_note_and_person(certificate, page):
    answer = page.client.post(revoke_address(certificate), {"reason": "keyCompromise", "note": "stolen"}, follow=True)
    assert b"1 certificate revoked" in answer.content
    certificate.refresh_from_db()
    assert (certificate.state, certificate.revocation_reason) == ("revoked", "keyCompromise")
    event = AuditEvent.objects.get(action=AuditAction.CERTIFICATE_REVOKED)
    assert (event.actor, event.details["note"]) == ("boss", "stolen")


def test_unused_renewals_are_revoked_with_what_they_renew_unless_somebody_says_otherwise(certificate, page):
    fleet = certificate.device.fleet
    admission = Admission(
        certificate.device, fleet.profile, fleet.authority, certification_request(), SYSTEM, certificate
    )
    unused = issue(admission, timezone.now())
    text = page(revoke_address(certificate))
    assert "1 renewal of it was never used" in text
    answer = page.client.post(
        revoke_address(certificate), {"reason": "keyCompromise", "note": "", "with_renewals": "on"}, follow=True
    )
    assert b"1 unused renewal revoked too" in answer.content
    unused.refresh_from_db()
    assert unused.state == "revoked"


def test_a_second_order_changes_nothing_and_says_so(certificate, page):
    page.client.post(revoke_address(certificate), {"reason": "keyCompromise"})
    answer = page.client.post(revoke_address(certificate), {"reason": "superseded"}, follow=True)
    assert b"revoked already" in answer.content
    assert Certificate.objects.get(pk=certificate.pk).revocation_reason == "keyCompromise"


def test_a_certificate_of_no_device_has_no_such_page(small_fleet, page):
    own = Certificate.objects.filter(purpose="authority").first()
    assert page.client.get(revoke_address(own)).status_code == 404


def test_an_ended_certificate_is_not_offered_for_revocation_and_a_superseded_one_is(small_fleet, page):
    now = timezone.now()
    ended = Certificate.objects.of_devices().get(not_after__lt=now)
    assert revoke_address(ended) not in page(reverse("admin:inventory_device_change", args=[ended.device_id]))
    answer = page.client.post(revoke_address(ended), {"reason": "keyCompromise"}, follow=True)
    assert b"The certificate has ended" in answer.content
    ended.refresh_from_db()
    assert ended.state == "confirmed"

    old, new = Certificate.objects.of_devices().valid(now)[:2]
    Certificate.objects.filter(pk=old.pk).update(state="superseded", successor=new)
    assert revoke_address(old) in page(reverse("admin:inventory_device_change", args=[old.device_id]))
    Certificate.objects.filter(pk=old.pk).update(not_after=now - DAY)
    assert revoke_address(old) not in page(reverse("admin:inventory_device_change", args=[old.device_id]))


def plan_form(fleet: Fleet, **changes: str) -> dict[str, Any]:
    today = timezone.now().date()
    return {
        "name": "Spring",
        "fleet": fleet.pk,
        "expires_from": today.isoformat(),
        "expires_before": (today + 100 * DAY).isoformat(),
        "ladder": "daily: MQTT 2 × 3 d, SMS 3 × 3 d valid 18 h",
        "triggers_per_minute": 5000,
        "failures_to_open": 2,
        "failures_to_pause": 10,
        **changes,
    }


PLAN = "/admin/renewal/campaign/plan/"


def test_the_dry_run_counts_and_makes_nothing(small_fleet, page):
    text = page.client.post(PLAN, {**plan_form(small_fleet), "preview": ""}).content.decode()
    assert "It would hold 12 devices" in text
    assert "Plan a campaign for 12 devices" in text
    assert not Campaign.objects.exists()


def test_planning_makes_what_the_dry_run_counted_and_starts_nothing(small_fleet, page):
    page.client.post(PLAN, {**plan_form(small_fleet), "plan": ""})
    campaign = Campaign.objects.get()
    assert (campaign.state, campaign.targets.count(), campaign.created_by) == ("planned", 12, "boss")
    assert [rung["validity"] for rung in campaign.ladder["daily"]] == [259_200, 64_800]
    assert AuditEvent.objects.filter(action=AuditAction.CAMPAIGN_PLANNED, actor="boss").count() == 1


def test_a_plan_for_nobody_is_refused_with_the_next_step(small_fleet, page):
    far = {"expires_from": "2040-01-01", "expires_before": "2040-02-01"}
    answer = page.client.post(PLAN, {**plan_form(small_fleet, **far), "plan": ""})
    assert b"choose another span" in answer.content
    assert not Campaign.objects.exists()


def test_a_ladder_that_cannot_be_read_is_refused_with_its_line_and_what_is_right(small_fleet, page):
    answer = page.client.post(PLAN, {**plan_form(small_fleet, ladder="daily: pigeon 2 × 3 d"), "plan": ""})
    assert "“pigeon” is no channel; there are mqtt, sms, webhook" in answer.content.decode()
    assert not Campaign.objects.exists()


def test_without_a_due_date_a_campaign_is_due_four_days_before_its_first_certificate_ends(small_fleet, page):
    page.client.post(PLAN, {**plan_form(small_fleet), "plan": ""})
    campaign = Campaign.objects.get()
    first = min(campaign.targets.values_list("ends_at", flat=True))
    assert first - timezone.now() > 6 * DAY
    assert campaign.due_at == first - 4 * DAY


@pytest.mark.parametrize(
    ("chosen", "open_parts"),
    [
        ({"ladder": ladder_text.written(DEFAULT).replace("\n", "\r\n")}, set()),
        ({}, {"Ladder: how devices are asked"}),
        ({"ladder": "daily: pigeon 2 × 3 d"}, {"Ladder: how devices are asked"}),
        ({"ladder": ladder_text.written(DEFAULT), "canary": "4"}, {"Waves, and what stops it"}),
        ({"ladder": ladder_text.written(DEFAULT), "sms_budget": "many"}, {"Pace, hours and SMS budget"}),
        ({"ladder": ladder_text.written(DEFAULT), "devices": "unknown-1"}, {"By serial numbers, or evergreen"}),
    ],
)
def test_what_is_as_usual_is_folded_and_what_was_chosen_or_refused_is_not(small_fleet, page, chosen, open_parts):
    text = page.client.post(PLAN, {**plan_form(small_fleet, **chosen), "preview": ""}).content.decode()
    assert set(re.findall(r'<details class="folded" open><summary>(.*?)</summary>', text)) == open_parts


def test_a_span_that_ends_before_it_begins_is_refused(small_fleet, page):
    answer = page.client.post(PLAN, {**plan_form(small_fleet, expires_before="2020-01-01"), "preview": ""})
    assert b"The span ends before it begins" in answer.content


@pytest.fixture
def campaign(small_fleet, page) -> Campaign:
    page.client.post(PLAN, {**plan_form(small_fleet), "plan": ""})
    return Campaign.objects.get()


def test_start_and_pause_ask_first_and_leave_a_trace(campaign, page):
    start, pause = (reverse(f"admin:renewal_campaign_{verb}", args=[campaign.pk]) for verb in ("start", "pause"))
    assert "Start the campaign" in page(start)
    campaign.refresh_from_db()
    assert campaign.state == "planned"
    page.client.post(start)
    page.client.post(pause)
    campaign.refresh_from_db()
    assert campaign.state == "paused"
    acts = AuditEvent.objects.filter(action__startswith="campaign:run").order_by("id").values_list("action", flat=True)
    assert list(acts) == ["campaign:run:started", "campaign:run:paused"]


def test_pausing_what_does_not_run_is_refused_in_words(campaign, page):
    answer = page.client.post(reverse("admin:renewal_campaign_pause", args=[campaign.pk]), follow=True)
    assert b"errorlist" in answer.content or b'class="error"' in answer.content


def test_every_number_of_a_campaign_leads_to_exactly_the_targets_it_counts(campaign, page):
    one, two, three = campaign.targets.order_by("id")[:3]
    Device.objects.filter(pk=one.device_id).update(site=None)
    campaign.targets.filter(pk__in=[one.pk, two.pk]).update(
        state="escalated", escalated_at=timezone.now(), next_step_at=None
    )
    campaign.targets.filter(pk=three.pk).update(state="withdrawn", next_step_at=None)
    planning.start(campaign, now=timezone.now(), actor=SYSTEM)
    shown = page.client.get(reverse("admin:renewal_campaign_progress", args=[campaign.pk])).context
    assert [(site.name, site.total) for site in shown["sites"]] == [("Penang", 11), ("", 1)]
    for site in shown["sites"]:
        steps = [(site.url, site.total), *((step.url, step.count) for step in site.counts)]
        assert sum(step.count for step in site.counts) == site.total
        for url, count in steps:
            assert page.client.get(url).context["cl"].result_count == count, url
    assert sum(row.count for row in shown["waiting"]) == campaign.targets.open().count()
    for row in shown["waiting"]:
        assert page.client.get(row.url).context["cl"].result_count == row.count, row.url
    assert shown["escalated"].startswith("2 devices could not be reached: somebody must go and see them.")
    assert page.client.get(shown["escalated_url"]).context["cl"].result_count == 2


def test_every_number_before_the_start_leads_to_exactly_the_targets_it_counts(campaign, page):
    one, two = campaign.targets.order_by("id")[:2]
    Device.objects.filter(pk=one.device_id).update(mqtt_id="", phone_number="")
    Device.objects.filter(pk=two.device_id).update(phone_number="")
    shown = page.client.get(reverse("admin:renewal_campaign_progress", args=[campaign.pk])).context["preflight"]
    counted = [line for line in shown if line.url]
    assert len(counted) >= 2
    for line in counted:
        assert page.client.get(line.url).context["cl"].result_count == line.count, line.text
    assert shown[-1].text.startswith("If nobody answers: ")


def test_a_campaign_reads_a_constant_number_of_times(campaign, page, django_assert_num_queries):
    """Session, user, campaign; then its funnel, doubts, others of the span, groups, sites, messages and moments."""
    address = reverse("admin:renewal_campaign_progress", args=[campaign.pk])
    with django_assert_num_queries(10):
        page(address)
    site = Site.objects.create(fleet=campaign.fleet, name="Johor")
    Device.objects.filter(pk__in=campaign.targets.values("device")[:5]).update(site=site)
    with django_assert_num_queries(10):
        page(address)


def test_more_sites_than_fit_are_named_as_such(campaign, page):
    for index, target in enumerate(campaign.targets.all()):
        for number in range(3):
            site = Site.objects.create(fleet=campaign.fleet, name=f"S{index}-{number}")
            if number:
                target = Target.objects.create(
                    campaign=campaign,
                    device=factories.device(),
                    certificate=target.certificate,
                    ends_at=target.ends_at,
                    state="planned",
                )
            Device.objects.filter(pk=target.device_id).update(site=site)
    address = reverse("admin:renewal_campaign_progress", args=[campaign.pk])
    text = page.client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert text.count("site=") == 24 * 9
    assert "The sites with the most left to do" in text


def test_the_page_of_a_running_campaign_says_that_its_triggers_do_not_leave_and_why(campaign, page):
    address = reverse("admin:renewal_campaign_progress", args=[campaign.pk])
    trouble.note(Channel.MQTT, [Delivery(1, Fate.NEVER_LEFT, "broker <unreachable>")], timezone.now())
    assert "No trigger leaves" not in page(address)
    Campaign.objects.filter(pk=campaign.pk).update(state=CampaignState.RUNNING, started_at=timezone.now())
    assert "No trigger leaves over MQTT: broker &lt;unreachable&gt;." in page(address)
    trouble.note(Channel.MQTT, [Delivery(1, Fate.TAKEN)], timezone.now())
    assert "No trigger leaves" not in page(address)


def test_polling_ends_with_the_campaign(campaign, page):
    address = reverse("admin:renewal_campaign_progress", args=[campaign.pk])
    assert page.client.get(address).status_code == 200
    Campaign.objects.update(state="finished", finished_at=timezone.now())
    assert page.client.get(address).status_code == 286
