"""The jitter planner: histograms before and after, the profile written from there, advice for a cliff."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from certportal.dashboard import jitter, needs
from certportal.dashboard.scope import Scope
from inventory.expiry.cliff_watch import watch
from inventory.expiry.cliffs import cliffs
from inventory.expiry.jitter.expectation import Rules, Run
from inventory.models import AuditEvent, CliffNotice
from tests import factories
from tests.certportal.conftest import plant_small_fleet
from tests.factories import DAY
from tests.inventory.counters.planting import plant


@pytest.fixture(scope="module")
def small_fleet(module_db):
    return plant_small_fleet()


def address(fleet, **changes):
    return reverse("admin:profile_jitter", args=[fleet.profile_id])


RUN = {"units_a_day": 3571, "days": 14, "first_day": "2027-03-01", "validity_days": 730, "jitter_days": 30}


def test_the_page_shows_the_factor_and_both_histograms(small_fleet, page):
    text = page(address(small_fleet), fleet=small_fleet.pk, **RUN)
    assert "The largest day falls by a factor of 2.14" in text
    assert text.count('class="bars days"') == 2
    assert "3,571 of these end on" in text


def test_what_ends_anyway_stands_below_the_run(small_fleet):
    ends = (timezone.now() + 40 * DAY).date()
    run = Run(10, 3, ends - 365 * DAY)
    found = jitter.simulate(small_fleet, run, Rules(365 * DAY, timedelta(0)), Rules(365 * DAY, 5 * DAY))
    assert found.existing == {ends: 12.0}
    parts = [(bar.part, bar.count) for bar in found.charts[0].bars if bar.day == ends]
    assert parts[0] == ("existing", 12.0)
    assert parts[1][0] == "planned"
    assert parts[0][1] + parts[1][1] == pytest.approx(22, rel=0.01)


def test_the_profile_is_written_from_there_and_the_log_says_so(small_fleet, page):
    response = page.client.post(address(small_fleet), {"fleet": small_fleet.pk, **RUN, "write": ""})
    assert response.status_code == 302
    small_fleet.profile.refresh_from_db()
    assert (small_fleet.profile.validity, small_fleet.profile.jitter_max) == (730 * DAY, 30 * DAY)
    event = AuditEvent.objects.latest("pk")
    assert event.actor == "boss"
    assert event.details["changes"]["jitter_max"] == ["0:00:00", "30 days, 0:00:00"]


def test_a_life_shorter_than_the_window_is_refused_and_says_why(small_fleet, page):
    response = page.client.post(
        address(small_fleet), {"fleet": small_fleet.pk, **RUN, "validity_days": 30, "write": ""}
    )
    assert response.status_code == 200
    assert "The renewal window of this profile is 90 d" in response.content.decode()
    small_fleet.profile.refresh_from_db()
    assert small_fleet.profile.validity == 365 * DAY


def test_who_may_only_look_cannot_write(small_fleet, client, viewer):
    client.force_login(viewer)
    assert client.get(address(small_fleet), {"fleet": small_fleet.pk, **RUN}).status_code == 200
    assert client.post(address(small_fleet), {"fleet": small_fleet.pk, **RUN}).status_code == 403


@pytest.mark.parametrize("changes", [{"units_a_day": "x"}, {"days": 0}, {"first_day": "never"}, {"jitter_days": 1e9}])
def test_a_run_nobody_can_make_is_refused_on_the_form(small_fleet, page, changes):
    text = page(address(small_fleet), fleet=small_fleet.pk, **{**RUN, **changes})
    assert "errorlist" in text
    assert "falls by a factor" not in text


def test_a_cliff_gets_advice_how_to_take_it_apart(small_fleet, page):
    [cliff] = cliffs(timezone.now())
    text = page(address(small_fleet), fleet=small_fleet.pk, cliff=cliff.day.isoformat(), **RUN)
    assert f"How to take the cliff of {cliff.day} apart" in text
    # Before and after, and no run that nobody asked about.
    assert f"<title>12 of these end on {cliff.day}</title>" in text
    assert text.count('class="bars days') == 2
    assert "As the profile is" not in text
    assert "plan the campaign" in text
    assert "Nothing of this fleet ends" in page(address(small_fleet), fleet=small_fleet.pk, cliff="2099-01-01", **RUN)


def test_issuing_that_makes_a_cliff_is_noticed_by_the_job_and_told(small_fleet, page):
    now = timezone.now()
    template = factories.enrolled(factories.device(), now=now).certificate
    plant(template, 60, not_after=now + 900 * DAY)
    watch(now)
    far = CliffNotice.objects.latest("day")
    assert (far.day, far.count, far.grew_at) == ((now + 900 * DAY).date(), 60, now)
    texts = [need.text for need in needs.read(Scope(), now, cliffs(now), [])]
    assert any(text.startswith("Issuing makes a cliff: 60 of") for text in texts)
    profile = page(reverse("admin:inventory_profile_change", args=[small_fleet.profile_id]))
    assert far.day.isoformat() in profile
    assert "take it apart" in profile

    later = now + 15 * DAY
    watch(later)
    assert not any("Issuing" in need.text for need in needs.read(Scope(), later, cliffs(later), []))
    plant(template, 1, not_after=now + 900 * DAY)
    watch(later)
    assert any("Issuing" in need.text for need in needs.read(Scope(), later, cliffs(later), []))


def test_a_cliff_that_is_gone_is_forgotten(small_fleet):
    now = timezone.now()
    watch(now)
    assert CliffNotice.objects.exists()
    watch(now + 100 * DAY)
    assert not CliffNotice.objects.exists()
