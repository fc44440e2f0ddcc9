"""What-if runs in the browser: asked for, refused with what was typed, read, compared, and kept to their fleets."""

import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.urls import reverse
from django.utils import timezone

from certportal import roles
from certportal.models import User
from inventory.models import FleetMembership
from renewal.campaigns import ladder_text
from renewal.models import Campaign, Rehearsal, RehearsalState
from renewal.simulation import rehearsing
from tests import factories
from tests.certportal.test_steering import PLAN, plan_form

pytestmark = pytest.mark.django_db
ASK = reverse("admin:renewal_rehearsal_ask")
LIST = reverse("admin:renewal_rehearsal_changelist")
PACKAGED = rehearsing.packaged()
# As `running.as_json` writes it.
RESULT = {
    "devices": 2000, "days": 2, "seed": 1, "field_interventions": 29, "field_share": 0.0145, "visits": 27,
    "expired_unvisited": 2, "expired_in_service": 9, "expired_reachable": 1, "renewed": 1980, "orders_opened": 40,
    "orders_by_outcome": {"renewed": 13, "dead_zone": 27}, "found_at_visits": {"no_coverage": 7, "session": 20},
    "messages": {"mqtt": 2500, "sms": 400}, "refusals": {}, "states": {},
    "course": [{"confirmed": 1000}, {"confirmed": 1980}],
    "processes": 1, "seconds": {"planting": 5.0, "campaign": 35.0, "preparing": 10.0}, "peak_memory_mib": 100.0,
}  # fmt: skip


def form(**changes: Any) -> dict[str, Any]:
    """Return what a browser sends when nothing was changed but this."""
    return {"devices": 2000, "seed": 1, **PACKAGED.numbers(), "ladder": ladder_text.written(PACKAGED.ladder), **changes}


def finished(scenario=PACKAGED, **changes: Any) -> Rehearsal:
    now = timezone.now()
    return Rehearsal.objects.create(
        asked_by="ann", asked_at=now, worked_at=now, finished_at=now, devices=2000, seed=1,
        scenario=scenario.to_json(), state=RehearsalState.FINISHED, result=RESULT | changes,
    )  # fmt: skip


def page_of(run: Rehearsal) -> str:
    return reverse("admin:renewal_rehearsal_change", args=[run.pk])


def text_of(html: str) -> str:
    """Return what is read on a page: its words without the marks."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def value_of(html: str, name: str) -> str:
    found = re.search(rf'name="{name}"[^>]*?value="([^"]*)"', html) or re.search(rf'name="{name}"[^>]*>([^<]*)<', html)
    assert found, name
    return unescape(found[1]).strip()


def test_a_run_with_ones_own_lead_is_asked_for_and_waits_for_a_worker(page):
    answer = page.client.post(ASK, form(lead_days=30))
    run = Rehearsal.objects.get()
    assert answer.url == page_of(run)
    assert (run.state, run.asked_by, run.devices, run.fleets) == (RehearsalState.WAITING, "boss", 2000, None)
    assert rehearsing.scenario_of(run) == replace(PACKAGED, lead_days=30.0)
    text = text_of(page(answer.url))
    assert "waiting for a worker" in text
    assert "Lead, days 90 → 30" in text


def test_what_is_typed_into_the_form_as_it_comes_is_the_packaged_scenario(page):
    html = page(ASK)
    names = ["devices", "seed", "ladder", *PACKAGED.numbers()]
    page.client.post(ASK, {name: value_of(html, name) for name in names})
    assert rehearsing.scenario_of(Rehearsal.objects.get()) == PACKAGED


def test_the_form_begins_with_the_settings_of_this_portal(page, settings):
    settings.FIELD_LEAD = 45 * factories.DAY
    assert value_of(page(ASK), "field_lead_days") == "45"


def test_every_number_of_the_scenario_stands_in_the_form_with_its_source(page):
    text = text_of(page(ASK))
    assert "sms_lost: assumption: 90 to 99 % are delivered today" in text
    assert "wake_fails: assumption" in text
    assert "docs/headline.md" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sms_lost": "1.5"}, "Write a number from 0 to 1."),
        ({"lead_days": "soon"}, "Write a number from 1 to 365."),
        ({"devices": "20001"}, "less than or equal to 20000"),
        ({"ladder": "daily: pigeon 2 × 3 d"}, "“pigeon” is no channel"),
        ({"visit_after_least_days": "50"}, "visit_after_least_days is more than visit_after_most_days."),
        ({"validity_days": "60"}, "lead_days is more than validity_days"),
    ],
)
def test_what_cannot_be_simulated_is_refused_and_what_was_typed_stays(page, changes, said):
    html = page.client.post(ASK, form(**changes, seed=77)).content.decode()
    assert said in text_of(html)
    assert {name: value_of(html, name) for name in changes} == changes
    assert value_of(html, "seed") == "77"
    assert not Rehearsal.objects.exists()


def test_numbers_that_were_refused_are_not_folded_away(page):
    assert '<details class="assumptions">' in page(ASK)
    html = page.client.post(ASK, form(sms_lost="2")).content.decode()
    assert '<details class="assumptions" open>' in html


def test_more_than_ten_that_wait_are_refused_on_the_form(page):
    for _run in range(rehearsing.MOST_WAITING):
        page.client.post(ASK, form())
    html = page.client.post(ASK, form(lead_days=31)).content.decode()
    assert "10 runs have not ended yet" in text_of(html)
    assert Rehearsal.objects.count() == rehearsing.MOST_WAITING


def test_a_finished_run_says_what_came_of_it_in_one_sentence_a_table_and_a_picture(page):
    html = page(page_of(finished()))
    text = text_of(html)
    assert "Of 2,000 meters 29 (1.45%) would need a person; 9 would expire in service." in text
    assert "visits 27 1.35%" in text
    assert "messages by SMS 400 0.20" in text
    assert "found at visits: no coverage 7 0.35%" in text
    assert '<polyline points="' in html
    assert "style=" not in html
    assert "docs/headline.md" in text


def test_two_runs_stand_side_by_side_with_what_differs(page):
    late = finished(replace(PACKAGED, lead_days=30.0), field_interventions=60, visits=50, messages={"mqtt": 10})
    run = finished()
    text = text_of(page(page_of(run), **{"with": late.pk}))
    assert "The other run: Of 2,000 meters 60 (3.00%)" in text
    assert "visits 27 1.35% 50 2.50%" in text
    assert "messages by SMS 400 0.20 0 0.00" in text
    assert "Lead, days 90 90 30" in text
    assert text.count("Meters not renewed yet: 2,000 meters") == 2


def test_the_list_says_in_what_each_run_differs(page):
    finished()
    finished(replace(PACKAGED, lead_days=30.0, sms_in_use=0.0))
    text = text_of(page(LIST))
    assert "as packaged" in text
    assert "Lead, days 90 → 30; SMS in use: 1, or 0 for a fleet without 1 → 0" in text
    assert "29 (1.45%)" in text


def test_the_page_is_polled_until_the_run_has_ended(page):
    page.client.post(ASK, form())
    run = Rehearsal.objects.get()
    progress = reverse("admin:renewal_rehearsal_progress", args=[run.pk])
    Rehearsal.objects.update(state=RehearsalState.RUNNING, progress="Day 40: 1,800 of 2,000 renewed.")
    answer = page.client.get(progress)
    assert answer.status_code == 200
    assert "Day 40: 1,800 of 2,000 renewed. Of 90 simulated days." in text_of(answer.content.decode())
    ended = {"finished_at": timezone.now(), "problem": "It took longer than 60 minutes."}
    Rehearsal.objects.update(state=RehearsalState.FAILED, **ended)
    answer = page.client.get(progress)
    assert answer.status_code == 286
    assert "failed It took longer than 60 minutes." in text_of(answer.content.decode())


def test_how_long_it_takes_is_said_by_the_runs_before(page):
    assert "2,000 take a few minutes" in text_of(page(ASK))
    finished()
    assert "2,000 take about 50 s, 20,000 about 6 min" in text_of(page(ASK))


def test_an_earlier_run_and_the_ladder_of_a_campaign_are_begun_with(page, small_fleet):
    run = finished(replace(PACKAGED, wake_fails=0.25))
    assert value_of(page(ASK, run=run.pk), "wake_fails") == "0.25"
    ladder = "daily: MQTT 1 × 2 d"
    page.client.post(PLAN, {**plan_form(small_fleet, ladder=ladder), "plan": ""})
    assert value_of(page(ASK, campaign=Campaign.objects.get().pk), "ladder").lower() == ladder.lower()
    for junk in ("x", "0", "99999999999999999999"):
        assert value_of(page(ASK, campaign=junk, run=junk), "wake_fails") == "0.05"


def test_the_form_of_a_plan_hands_over_its_ladder_and_its_lead(page, small_fleet):
    assert f'formaction="{ASK}"' in page(PLAN)
    first = (timezone.now() + 120 * factories.DAY).date()
    planned = plan_form(small_fleet, ladder="not yet a ladder", expires_from=str(first))
    html = page.client.post(ASK, {**planned, "from_plan": ""}).content.decode()
    assert value_of(html, "ladder") == "not yet a ladder"
    assert value_of(html, "lead_days") == "120"
    html = page.client.post(ASK, {**planned, "joins_within": "75", "from_plan": ""}).content.decode()
    assert value_of(html, "lead_days") == "75"
    html = page.client.post(ASK, {"expires_from": "2027-13-45", "from_plan": ""}).content.decode()
    assert value_of(html, "lead_days") == "90"
    assert not Rehearsal.objects.exists()


def test_a_plan_begins_with_the_ladder_of_a_run(page):
    html = page(page_of(finished()))
    [address] = re.findall(rf'href="({re.escape(PLAN)}\?ladder=[^"]*)"', html)
    assert value_of(page(unescape(address)), "ladder") == ladder_text.written(PACKAGED.ladder)


def of_role(role: str, *fleets, name: str) -> User:
    roles.make_missing()
    person = User.objects.create_user(name, is_staff=True)
    person.groups.add(Group.objects.get(name=role))
    for fleet in fleets:
        FleetMembership.objects.create(user=person, fleet=fleet)
    return person


def test_a_run_is_seen_by_people_of_the_fleets_of_who_asked_for_it_and_by_those_of_all(client, boss):
    ours, theirs = factories.fleet("ours"), factories.fleet("theirs")
    client.force_login(of_role("operator", ours, name="ann"))
    assert client.post(ASK, form()).status_code == 302
    run = Rehearsal.objects.get()
    assert run.fleets == [ours.pk]
    other = finished()

    def sees(person: User, of: Rehearsal) -> bool:
        client.force_login(person)
        listed = of in client.get(LIST).context["cl"].result_list
        shown = client.get(page_of(of)).status_code == 200
        assert listed == shown
        return listed

    viewer = of_role("viewer", ours, name="vera")
    both = of_role("operator", ours, theirs, name="bo")
    stranger = of_role("operator", theirs, name="stan")
    assert [sees(person, run) for person in (viewer, both, boss, stranger)] == [True, True, True, False]
    # Asked for by somebody of all fleets: its ladder may be that of any campaign.
    assert [sees(person, other) for person in (viewer, both, boss, stranger)] == [False, False, True, False]


def test_whoever_may_only_look_asks_for_nothing(client):
    person = of_role("viewer", factories.fleet(), name="vera")
    client.force_login(person)
    assert client.get(ASK).status_code == client.post(ASK, form()).status_code == 403
    assert reverse("admin:renewal_rehearsal_changelist") in client.get("/admin/renewal/campaign/").content.decode()
    assert not Rehearsal.objects.exists()


def test_whoever_is_of_no_fleet_asks_for_nothing(client):
    person = User.objects.create_user("nobody", is_staff=True)
    person.user_permissions.set(Permission.objects.all())
    client.force_login(person)
    assert client.post(ASK, form()).status_code == 403
