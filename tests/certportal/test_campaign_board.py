"""The board on the page of a campaign: its sentences, and each number with exactly the rows that it counts."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone

from certportal.models import User
from inventory.audit.record import SYSTEM, event, record
from inventory.models import AuditAction
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.planning import Plan
from renewal.channels.recording import RecordingChannel
from renewal.field import opening
from renewal.models import Campaign
from tests import factories
from tests.certportal.access.two_fleets import member
from tests.factories import DAY
from tests.renewal.campaigns.test_campaigns import renew
from tests.renewal.rows import over_mqtt, tick

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db


def running(number: int = 6, slug: str = "board") -> tuple[list[factories.Enrolled], Campaign]:
    """Return meters of a campaign that was started two days ago and asked them then; one renewed, one was refused."""
    now, fleet = timezone.now(), factories.fleet(slug)
    made = [
        factories.enrolled(
            factories.device(f"{slug}{number}", fleet=fleet, mqtt_id=f"{slug}{number}"),
            expires_in=(40 + number % 3) * DAY,
            now=now - 5 * DAY,
        )
        for number in range(number)
    ]
    plan = Plan("Spring", Selection(fleet, now, now + 60 * DAY), now + 30 * DAY, over_mqtt())
    campaign = planning.plan(plan, now=now - 2 * DAY, actor=SYSTEM)
    planning.start(campaign, now=now - 2 * DAY, actor=SYSTEM)
    tick(campaign, now - 2 * DAY, RecordingChannel())
    renew(made[0], now - DAY)
    refused = event(
        AuditAction.RENEWAL_REFUSED, now=now - DAY, actor=SYSTEM, object_name="x", device=made[1].device,
        details={"reason": "window_not_open"},
    )  # fmt: skip
    record([refused])
    tick(campaign, now - HOUR, RecordingChannel())
    campaign.targets.filter(device=made[2].device).update(unanswered=True)
    opening.open_due(now, 60 * DAY, 30 * DAY)
    campaign.refresh_from_db()
    return made, campaign


def address_of(campaign: Campaign, name: str = "change", *more: str) -> str:
    return reverse(f"admin:renewal_campaign_{name}", args=[campaign.pk, *more])


def numbers(text: str) -> list[tuple[str, int]]:
    """Return every link of the board whose text is a number, or begins with one: address and number."""
    found = re.findall(r'<a href="([^"]+)">(?:[^<]*<svg.*?</svg>[^<]*<span class="number">)?([\d,]+)\b', text, re.S)
    return [(unescape(url), int(number.replace(",", ""))) for url, number in found]


def test_every_number_leads_to_as_many_rows(page):
    _made, campaign = running()
    linked = numbers(page(address_of(campaign, "board")))
    assert len(linked) >= 8
    for url, number in linked:
        listed = page.client.get(url)
        assert listed.status_code == 200, url
        assert listed.context["cl"].result_count == number, url


def test_it_says_how_many_miss_their_date_and_what_comes_next(page):
    _made, campaign = running()
    text = page(address_of(campaign))
    assert "On this course" in text
    assert "have not answered yet; the next step is on" in text
    assert "its renewal window is not open yet" in text
    assert "more than the yardstick of 0.10 %" in text
    assert "At this pace" not in text


def test_a_planned_campaign_shows_what_ends_and_forecasts_nothing(page):
    now = timezone.now()
    factories.enrolled(factories.device(mqtt_id="one"), expires_in=40 * DAY, now=now)
    plan = Plan("Spring", Selection(factories.fleet(), now, now + 60 * DAY), now + 30 * DAY)
    text = page(address_of(planning.plan(plan, now=now, actor=SYSTEM)))
    assert "A forecast is made once it has started" in text
    assert "cliff: 1 end on" in text
    assert "On this course" not in text


def test_it_takes_as_many_queries_for_thirty_targets_as_for_six(page, django_assert_max_num_queries):
    few, many = running()[1], running(30, "many")[1]
    page(address_of(few, "board"))
    counts = []
    for campaign in (few, many):
        with django_assert_max_num_queries(20) as asked:
            page(address_of(campaign, "board"))
        counts.append(len(asked.captured_queries))
    assert counts[0] == counts[1]


def test_a_campaign_that_has_ended_offers_its_report(page):
    _made, campaign = running()
    for kind in ("csv", "pdf"):
        assert page.client.get(address_of(campaign, "report", kind)).status_code == 404
    planning.stop(campaign, now=timezone.now(), actor=SYSTEM)
    text = page(address_of(campaign))
    for kind, media_type in (("csv", "text/csv; charset=utf-8"), ("pdf", "application/pdf")):
        address = address_of(campaign, "report", kind)
        assert address in text
        assert page.client.get(address)["Content-Type"] == media_type
    assert page.client.get(address_of(campaign, "report", "docx")).status_code == 404


def test_board_and_report_are_for_those_who_see_the_campaign(client):
    _made, campaign = running()
    planning.stop(campaign, now=timezone.now(), actor=SYSTEM)
    for stranger in (User.objects.create_user("nobody", is_staff=True), member("of-others")):
        client.force_login(stranger)
        for address in (address_of(campaign, "board"), address_of(campaign, "report", "csv")):
            assert client.get(address).status_code in {403, 404}


def test_those_left_to_people_get_no_further_message_and_it_says_so(page):
    _made, campaign = running()
    gone = {"state": "escalated", "reason": "no_answer", "next_step_at": None, "channel": ""}
    campaign.targets.filter(state="triggered").update(escalated_at=timezone.now(), **gone)
    text = page(address_of(campaign, "board"))
    assert "5 are left to people: no message follows." in text
    assert "not answered yet" not in text
