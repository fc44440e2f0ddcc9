"""Waves and settings of a campaign on its pages."""

import re
from datetime import time, timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from django.urls import reverse
from django.utils import timezone

from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent, Certificate, Device, Proposal
from renewal.campaigns import planning
from renewal.campaigns.ladder import Rung
from renewal.models import Campaign, Channel, Target
from tests.certportal.test_steering import PLAN, plan_form
from tests.renewal.rows import ladder_of


def planned(page, small_fleet, **changes: str) -> Campaign:
    page.client.post(PLAN, {**plan_form(small_fleet, **changes), "plan": ""})
    return Campaign.objects.get()


def address(verb: str, campaign: Campaign) -> str:
    return reverse(f"admin:renewal_campaign_{verb}", args=[campaign.pk])


@pytest.fixture
def in_waves(small_fleet, page) -> Campaign:
    """A campaign of twelve devices in a canary of four and waves of four."""
    campaign = planned(page, small_fleet, canary="4", wave_size="4", failures_to_open="80")
    planning.start(campaign, now=timezone.now(), actor=SYSTEM)
    return campaign


def test_the_page_shows_the_waves_and_each_number_leads_to_its_targets(in_waves, page):
    Target.objects.filter(campaign=in_waves, wave=1).update(refusal="key_reused")
    text = page(address("change", in_waves))
    assert "Wave 2 waits until 4 more devices of the wave before were asked." in text
    targets = reverse("admin:renewal_target_changelist")
    for wave in in_waves.waves.all():
        listed = f"{targets}?campaign={in_waves.pk}&amp;wave={wave.number}"
        assert listed in text
        rows = page.client.get(targets, {"campaign": in_waves.pk, "wave": wave.number}).context["cl"].result_list
        assert {row.wave for row in rows} == {wave.number}
        assert len(rows) == wave.size
    failed = page.client.get(targets, {"campaign": in_waves.pk, "wave": 1, "answered": "in_vain"})
    assert len(failed.context["cl"].result_list) == 4


def test_a_wave_that_opens_too_late_for_its_ladder_says_so_on_the_page_and_on_the_dashboard(in_waves, page):
    day = timedelta(days=1)
    climb = ladder_of(Rung(Channel.MQTT, day, 3, day))
    Campaign.objects.filter(pk=in_waves.pk).update(ladder=climb.to_json())
    for left, is_late in ((4 * day, False), (2 * day, True)):
        ends = timezone.now() + left
        in_waves.waves.filter(number=2).update(first_end=ends)
        late = f"It is late: had it opened by {ends - 3 * day:%Y-%m-%d}, its ladder would be climbed before the first"
        assert (late in page(address("change", in_waves))) is is_late
        assert (late in page("/admin/")) is is_late


def test_opening_a_wave_by_hand_asks_first_and_tells_who_did_it(in_waves, page):
    open_ = address("open_wave", in_waves)
    assert "Open the wave" in page(open_)
    assert in_waves.waves.get(number=2).opened_at is None
    page.client.post(open_)
    assert in_waves.waves.get(number=2).opened_by == "boss"
    event = AuditEvent.objects.get(action=AuditAction.CAMPAIGN_WAVE_OPENED)
    assert (event.actor, event.details["wave"]) == ("boss", 2)


def test_when_every_wave_is_open_there_is_no_such_page(in_waves, page):
    for _wave in range(in_waves.waves.count() - 1):
        page.client.post(address("open_wave", in_waves))
    assert page.client.get(address("open_wave", in_waves)).status_code == 404
    assert "Every wave is open." in page(address("change", in_waves))


def test_a_campaign_that_paused_itself_says_why_on_its_page_on_the_dashboard_and_before_it_starts_again(in_waves, page):
    Campaign.objects.filter(pk=in_waves.pk).update(
        state="paused", paused_at=timezone.now(), paused_because=[{"wave": 1, "failed": 3, "answered": 4}]
    )
    why = "Wave 1: 3 of 4 that answered failed, more than the limit of 10.0%."
    assert why in page(address("change", in_waves))
    assert why in page(reverse("admin:index"))
    assert f"{why} You let these pass" in page(address("start", in_waves))


def test_a_campaign_that_was_stopped_says_that_its_waves_do_not_open_any_more(in_waves, page):
    planning.stop(in_waves, now=timezone.now(), actor=SYSTEM)
    text = page(address("change", in_waves))
    assert "It ended before every wave was open." in text
    assert address("open_wave", in_waves) not in text


def test_a_stopped_campaign_is_on_the_dashboard_and_not_late(in_waves, page):
    Campaign.objects.filter(pk=in_waves.pk).update(due_at=timezone.now())
    planning.stop(in_waves, now=timezone.now(), actor=SYSTEM)
    text = page(reverse("admin:index"))
    assert "Spring" in text
    assert "is past due" not in text


def settings_of(campaign: Campaign, **changes: Any) -> dict[str, Any]:
    return {
        "triggers_per_minute": campaign.triggers_per_minute,
        "failures_to_open": 100 * campaign.failures_to_open,
        "failures_to_pause": 100 * campaign.failures_to_pause,
        **changes,
    }


def test_the_settings_of_a_running_campaign_are_changed_with_a_trace(in_waves, page):
    changes = {"triggers_per_minute": 60, "window_from": "22:00", "window_to": "05:00", "sms_budget": 100}
    page.client.post(address("adjust", in_waves), settings_of(in_waves, **changes))
    in_waves.refresh_from_db()
    assert (in_waves.triggers_per_minute, in_waves.window, in_waves.sms_budget) == (60, (time(22), time(5)), 100)
    event = AuditEvent.objects.filter(action=AuditAction.CONFIGURATION_CHANGED).latest("id")
    assert event.details["changes"] == {
        "triggers_per_minute": [5000, 60],
        "window_from": [None, "22:00"],
        "window_to": [None, "05:00"],
        "sms_budget": [None, 100],
    }
    text = page(address("change", in_waves))
    assert "22:00&ndash;05:00" in text


def test_settings_saved_as_they_were_leave_no_trace(in_waves, page):
    before = AuditEvent.objects.count()
    answer = page.client.post(address("adjust", in_waves), settings_of(in_waves), follow=True)
    assert b"Nothing changed." in answer.content
    assert AuditEvent.objects.count() == before


@pytest.mark.parametrize(
    ("window", "told"),
    [
        ({"window_from": "22:00"}, b"A window has a beginning and an end"),
        ({"window_from": "22:00", "window_to": "22:00"}, b"The window has no length"),
        ({"window_from": "25:00", "window_to": "22:00"}, b"Enter a valid time"),
    ],
)
def test_a_window_that_is_none_is_refused_in_words(in_waves, page, window, told):
    answer = page.client.post(address("adjust", in_waves), settings_of(in_waves, **window))
    assert told in answer.content
    in_waves.refresh_from_db()
    assert in_waves.window is None


def test_the_settings_of_a_campaign_that_has_ended_stay_as_they_were(in_waves, page):
    planning.stop(in_waves, now=timezone.now(), actor=SYSTEM)
    answer = page.client.post(address("adjust", in_waves), settings_of(in_waves, triggers_per_minute=1), follow=True)
    assert b"its settings stay as they were" in answer.content
    in_waves.refresh_from_db()
    assert in_waves.triggers_per_minute == 5000


def test_waves_that_could_show_nothing_are_refused_on_the_form(small_fleet, page):
    answer = page.client.post(PLAN, {**plan_form(small_fleet, canary="4"), "plan": ""})
    assert b"4 devices can never show that fewer than 2.0% fail" in answer.content
    assert not Campaign.objects.exists()


def planning_page(page, listed: str, **query: Any) -> str:
    """Return the address that a list offers for planning a campaign for what it shows."""
    text = page(f"{reverse(f'admin:inventory_{listed}_changelist')}?{urlencode(query)}")
    [plan_url] = re.findall(r'href="(/admin/renewal/campaign/plan/[^"]*)"', text)
    return unescape(plan_url)


def post_as_shown(page, plan_url: str, **changes: Any) -> Any:
    """Send the planning form as its page shows it."""
    form = page.client.get(plan_url).context["form"]
    shown = {name: form[name].value() for name in form.fields}
    sent = {name: value for name, value in {**shown, "name": "Chosen", **changes}.items() if value is not None}
    return page.client.post(PLAN, {**sent, "plan": ""}, follow=True)


@pytest.mark.parametrize("listed", ["device", "certificate"])
def test_a_campaign_is_planned_for_exactly_what_a_filtered_list_shows(small_fleet, page, listed):
    wanted = Device.objects.filter(campaign_targets=None, certificates__not_after__gt=timezone.now()).first()
    end = (timezone.now() + timedelta(days=100)).date().isoformat()
    plan_url = planning_page(page, listed, q=wanted.serial)
    post_as_shown(page, plan_url, fleet=small_fleet.pk, expires_before=end)
    campaign = Campaign.objects.get()
    assert [target.device.serial for target in campaign.targets.select_related("device")] == [wanted.serial]
    assert campaign.chosen_from == f"inventory_{listed}?q={wanted.serial}"
    text = page(address("change", campaign))
    assert f'href="/admin/inventory/{listed}/?q={wanted.serial}"' in text


def test_another_campaign_like_one_is_planned_for_the_same_list_by_the_same_settings(small_fleet, page):
    first = planned(page, small_fleet, canary="4", failures_to_open="80", triggers_per_minute="77")
    planning.stop(first, now=timezone.now(), actor=SYSTEM)
    assert f"{PLAN}?like={first.pk}" in page(address("change", first))
    post_as_shown(page, f"{PLAN}?like={first.pk}")
    again = Campaign.objects.latest("id")
    assert again.pk != first.pk
    same = ("fleet_id", "ladder", "canary", "wave_size", "triggers_per_minute", "failures_to_open", "expires_before")
    assert [getattr(again, name) for name in same] == [getattr(first, name) for name in same]
    assert again.targets.count() == first.targets.count() == 12


def test_a_campaign_is_planned_for_devices_by_their_serial_numbers(small_fleet, page):
    ends_in_span = Certificate.objects.of_devices().valid(timezone.now()).order_by("not_after")
    chosen = [certificate.device.serial for certificate in ends_in_span[:3]]
    planned(page, small_fleet, devices=f"{chosen[0]}, {chosen[1]}\n{chosen[2]}\n{chosen[0]}")
    campaign = Campaign.objects.get()
    assert sorted(campaign.targets.values_list("device__serial", flat=True)) == sorted(chosen)
    assert campaign.chosen_from == "3 serial numbers"


def test_serial_numbers_that_the_fleet_does_not_have_are_named_and_nothing_is_planned(small_fleet, page):
    answer = page.client.post(PLAN, {**plan_form(small_fleet, devices="nobody <b>x</b>"), "plan": ""})
    assert "2 of 2 are no devices of fleet" in answer.content.decode()
    assert "&lt;b&gt;x&lt;/b&gt;" in answer.content.decode()
    assert not Campaign.objects.exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"listed": "inventory_device", "query": "state=bogus&nothing=1"},
            "The list does not know this filter any more",
        ),
        ({"listed": "certportal_user", "query": ""}, "certportal_user is not one of the available choices"),
    ],
)
def test_a_list_that_is_none_plans_nothing(small_fleet, page, changes, told):
    answer = page.client.post(PLAN, {**plan_form(small_fleet, **changes), "plan": ""})
    assert told in answer.content.decode()
    assert not Campaign.objects.exists()


def test_the_start_of_a_large_campaign_is_proposed_with_a_reason_and_shown_until_it_is_decided(
    small_fleet, page, settings
):
    settings.TWO_PEOPLE_ABOVE = 5
    campaign = planned(page, small_fleet)
    start = address("start", campaign)
    assert "Propose the start" in page(start)
    page.client.post(start, {"reason": " "})
    assert not Proposal.objects.exists()
    page.client.post(start, {"reason": "winter is near"})
    proposal = Proposal.objects.get()
    assert (proposal.reason, proposal.content["targets"], proposal.fleet) == ("winter is near", 12, small_fleet)
    campaign.refresh_from_db()
    assert campaign.state == "planned"
    assert reverse("admin:inventory_proposal_change", args=[proposal.pk]) in page(start)


@pytest.mark.parametrize(
    "asked", ["refused=key_reused", "doubt=unseen", "wave=x", "message=mqtt-1-sent", "message=", "answered=no"]
)
def test_what_only_the_targets_of_one_campaign_can_be_asked_is_refused_elsewhere(in_waves, page, asked):
    targets = reverse("admin:renewal_target_changelist")
    assert page.client.get(f"{targets}?{asked}").status_code == 400
    shown = page.client.get(targets).content.decode()
    offered = {spec.title for spec in page.client.get(targets).context["cl"].filter_specs}
    assert not offered & {"refused", "doubt", "wave", "message"}
    assert "refused=" not in shown


def test_a_list_of_targets_names_the_campaign_that_it_is_narrowed_to(in_waves, page):
    targets = reverse("admin:renewal_target_changelist")
    named = f'Targets of <a href="{address("change", in_waves)}"><bdi>{in_waves.name}</bdi></a></h1>'
    for asked in ("campaign", "campaign__id__exact"):
        assert named in page(targets, **{asked: in_waves.pk})
    whole = page(targets)
    assert named not in whole and "Targets of all campaigns" in whole
    # Each row names its own.
    assert f'<a href="{address("change", in_waves)}"><bdi>{in_waves.name}</bdi></a></td>' in whole


def test_the_page_of_a_target_names_its_campaign_and_device(in_waves, page):
    target = in_waves.targets.select_related("device").first()
    own = reverse("admin:renewal_target_change", args=[target.pk])
    assert f'<a href="{own}">' in page(reverse("admin:renewal_target_changelist"))
    text = page(own)
    heading = text[text.index("<h1>", text.index('id="content"')) :]
    heading = heading[: heading.index("</h1>")]
    assert target.device.serial in heading and f'<a href="{address("change", in_waves)}">' in heading
    assert f"{target.device.serial} in {in_waves.name}" in text
