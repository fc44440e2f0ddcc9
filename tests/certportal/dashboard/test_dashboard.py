"""Every number on the dashboard equals what SQL counts, and leads to exactly those rows."""

import html
import re
from urllib.parse import parse_qsl

import django_rq
import pytest
from django.core.cache import cache
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from certportal.cron import PERIODIC_JOBS
from certportal.dashboard import campaigns, expiry_map, needs, tiles, weeks
from certportal.dashboard.scope import SPANS, Scope
from inventory.admin.attention import Need
from inventory.audit import record
from inventory.audit.record import SYSTEM
from inventory.expiry.cliffs import cliffs
from inventory.models import AuditAction, Axis, Certificate, CertificateCount, Fleet, Site
from renewal import coverage_counts
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.planning import Plan
from renewal.models import Campaign
from revocation.freshness import freshness
from tests import factories
from tests.certportal.conftest import plant_small_fleet
from tests.factories import DAY

pytestmark = pytest.mark.long

SQL = {
    "devices": "SELECT count(*) FROM inventory_device",
    "valid": "SELECT count(*) FROM inventory_certificate WHERE purpose = 'device' AND state IN ('issued', 'confirmed')"
    " AND now() BETWEEN not_before AND not_after",
    "expiring 90 d": "SELECT count(*) FROM inventory_certificate WHERE purpose = 'device' AND not_after > now()"
    " AND state IN ('issued', 'confirmed') AND not_before <= now() AND not_after < now() + interval '90 days'",
    "expired": "SELECT count(*) FROM inventory_certificate WHERE purpose = 'device' AND not_after < now()"
    " AND state IN ('issued', 'confirmed')",
    "revoked": "SELECT count(*) FROM inventory_certificate WHERE purpose = 'device' AND state = 'revoked'",
    "unconfirmed": "SELECT count(*) FROM inventory_certificate WHERE purpose = 'device' AND state = 'issued'"
    " AND predecessor_id IS NOT NULL AND now() BETWEEN not_before AND not_after",
    "never seen": "SELECT count(*) FROM inventory_devicepresence WHERE last_seen_at IS NULL",
}


def counted(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def rows_of(text: str) -> int:
    """Return how many rows a list of the admin says it holds."""
    found = re.search(r'<(?:p|nav) class="paginator.*?([\d,]+) [a-z]', text, re.S)
    assert found
    return int(found[1].replace(",", ""))


def test_tiles_equal_sql_and_lead_to_the_rows_they_count(small_fleet, page):
    for tile in tiles.read(Scope(), timezone.now()):
        assert tile.count == counted(SQL[tile.label]), tile.label
        assert tile.count == rows_of(page(tile.url)), tile.label


def test_tiles_of_an_empty_fleet_are_zero(small_fleet):
    empty = factories.fleet("empty")
    assert {tile.count for tile in tiles.read(Scope(fleet_id=empty.pk), timezone.now())} == {0}


class TestTheMap:
    @pytest.fixture(scope="class")
    @classmethod
    def small_fleet(cls, class_db):
        return plant_small_fleet()

    @pytest.mark.parametrize("axis", Axis)
    @pytest.mark.parametrize("span", SPANS)
    def test_each_cell_of_the_map_leads_to_exactly_its_certificates(self, small_fleet, page, axis, span):
        drawn = expiry_map.read(Scope(axis=axis, span=span), timezone.now())
        assert sum(cell.count for cell in drawn.map.cells) == drawn.total > 0
        for cell in drawn.map.cells:
            assert rows_of(page(drawn.urls[cell])) == cell.count
        for row in drawn.rows:
            assert rows_of(page(row.url)) == row.total


def test_the_page_of_a_full_map_has_less_than_200_kilobytes(page):
    fleet, today = factories.fleet(), timezone.now().date()
    sites = [Site.objects.create(fleet=fleet, name=f"Substation {number:03}") for number in range(9)]
    CertificateCount.objects.bulk_create(
        CertificateCount(
            axis=Axis.SITE, fleet_id=fleet.pk, group_id=site.pk, day=today + number * DAY,
            issued=0, unconfirmed=0, confirmed=12_345, superseded=0, revoked=0,
        )
        for site in sites for number in range(-60, 21 * 365)
    )  # fmt: skip
    for span in SPANS:
        text = page(f"/admin/?span={span}")
        assert "Substation 002" in text
        assert len(text.encode()) < 200_000, span


def test_a_cell_leads_to_its_list_and_from_there_to_a_plan_for_the_same(small_fleet, page):
    drawn = expiry_map.read(Scope(axis=Axis.BATCH), timezone.now())
    [cell] = [cell for cell in drawn.map.cells if cell.count == 12]
    text = page(drawn.urls[cell])
    (plan,) = re.findall(r'href="([^"]+)" class="addlink">Plan a campaign for these', text)
    form = page(html.unescape(plan))
    assert f'value="{cell.column.start}"' in form
    assert f'value="{cell.column.end}"' in form
    assert f'<option value="{cell.row}" selected>' in form


@pytest.mark.parametrize(
    "query",
    [
        "state=standing",
        "not_after__gte=2027-03-01T12:00:00Z&not_after__lt=2027-03-02T00:00:00Z",
        "not_after__gte=2027-03-01T00:00:00Z&not_after__lt=2027-03-02T00:00:00Z&q=SM1",
    ],
)
def test_a_list_that_a_span_does_not_say_is_handed_to_the_plan_as_it_is(small_fleet, page, query):
    text = page(f"{reverse('admin:inventory_certificate_changelist')}?{query}")
    [plan] = re.findall(r'href="(/admin/renewal/campaign/plan/[^"]*)"', text)
    form = page.client.get(html.unescape(plan)).context["form"]
    assert form["listed"].value() == "inventory_certificate"
    assert dict(parse_qsl(form["query"].value())) == dict(parse_qsl(query))


def test_each_bar_of_the_weeks_leads_to_exactly_its_certificates(small_fleet, page):
    drawn = weeks.read(Scope(), timezone.now())
    assert {part.key: part.total for part in drawn.parts} == {
        "renewed": 0,
        "in_campaign": 0,
        "unplanned": 12,
        "expired": 1,
    }
    for bar in drawn.chart.bars:
        assert rows_of(page(drawn.urls[bar.week, bar.part])) == bar.count


def test_the_map_reads_the_same_number_of_times_whatever_it_shows(small_fleet, django_assert_num_queries):
    now = timezone.now()
    with django_assert_num_queries(5):
        expiry_map.read(Scope(), now, [])
    with django_assert_num_queries(2):
        tiles.read(Scope(), now)
    with django_assert_num_queries(3):
        weeks.read(Scope(), now)


def plan_all(fleet: Fleet) -> Campaign:
    now = timezone.now()
    selection = Selection(fleet, now - 10 * DAY, now + 100 * DAY)
    return planning.plan(Plan("Spring", selection, now + 30 * DAY), now=now, actor=SYSTEM)


def test_the_funnel_of_a_campaign_leads_to_its_targets(small_fleet, page):
    campaign = plan_all(small_fleet)
    campaign.targets.filter(pk__in=campaign.targets.values("pk")[:5]).update(state="triggered")
    (line,) = campaigns.read(Scope(), timezone.now())
    assert {step.state: step.count for step in line.steps} == {
        "planned": 13,
        "triggered": 5,
        "issued": 0,
        "confirmed": 0,
        "escalated": 0,
    }
    for step in line.steps:
        assert rows_of(page(step.url)) == step.count


def needs_now() -> list[Need]:
    now = timezone.now()
    return needs.read(Scope(), now, cliffs(now), [])


def test_a_cliff_needs_a_person_until_it_is_in_a_campaign(small_fleet, page):
    (cliff,) = (need for need in needs_now() if "Cliff" in need.text)
    assert "12 of 16 expire on" in cliff.text
    assert "batch B7" in cliff.text
    assert 'value="Cliff of' in page(cliff.url)
    plan_all(small_fleet)
    coverage_counts.count_anew(timezone.now())
    assert not [need for need in needs_now() if "Cliff" in need.text]


def test_who_may_only_look_is_asked_to_do_nothing_else(small_fleet, viewer, client):
    now, scope = timezone.now(), Scope(may=viewer.has_perm)
    plan_all(small_fleet)
    coverage_counts.count_anew(now - 1 * DAY)
    factories.enrolled_many([factories.device() for _ in range(12)], expires_in=60 * DAY, now=now)
    found = needs.read(scope, now, cliffs(now), [])
    assert {need.step for need in found} <= {"see it", "see them", "look into them", "check the workers"}
    assert [need for need in found if "is planned and waits" in need.text]
    client.force_login(viewer)
    assert {client.get(need.url).status_code for need in found} == {200}


def test_what_verifiers_or_devices_suffer_from_now_stands_first(small_fleet):
    tones = [need.tone for need in needs_now()]
    assert tones == sorted(tones, key=lambda tone: tone != "late")
    assert needs_now()[0].text.startswith("1 device stands on an expired certificate")


def test_ten_failed_logins_from_one_address_need_a_person(db):
    from inventory.audit.record import Actor
    from inventory.models.audit import ActorKind

    guesser = Actor(ActorKind.UNKNOWN, "admin", "203.0.113.9")
    failed = AuditAction.LOGIN_FAILED
    now = timezone.now()
    record.record(record.event(failed, now=now, actor=guesser, object_name="admin") for _ in range(9))
    assert not needs_now()
    record.record([record.event(failed, now=now, actor=guesser, object_name="admin")])
    (need,) = needs_now()
    assert need.text == "10 failed logins from 203.0.113.9 within an hour."


def test_a_crl_that_was_never_published_needs_a_person_once_an_authority(small_fleet):
    now = timezone.now()
    found = needs.read(Scope(), now, [], freshness(now))
    assert [need.text for need in found if "CRL" in need.text] == [
        "CRL of Test mfg-1 was never published.",
        "CRL of Test root was never published.",
    ]


def test_an_empty_portal_says_so_and_what_would_appear(page):
    text = page("/admin/")
    assert "All clear, looked at" in text
    assert "No campaign yet" in text
    assert "Nothing ends in this span" in text


def test_the_dashboard_is_the_index_and_each_block_can_be_polled(small_fleet, page):
    plan_all(small_fleet)
    assert "Expiry map" in page("/admin/")
    for name in ("needs", "tiles", "map", "campaigns", "weeks", "crls", "latest"):
        block = page(f"/admin/dashboard/{name}/", fleet=small_fleet.pk, rows="batch", span=365)
        assert "<html" not in block
    assert page.client.get("/admin/dashboard/other/").status_code == 404


def test_an_address_nobody_wrote_shows_the_default(small_fleet, page):
    page("/admin/", fleet="x", rows="'; DROP", span="-1")
    assert Scope.of({"fleet": "9" * 30, "rows": "x", "span": "7"}) == Scope()


def test_each_mark_of_the_map_has_a_title_and_the_page_has_the_table(small_fleet, page):
    text = page("/admin/")
    drawn = expiry_map.read(Scope(), timezone.now())
    marks = re.findall(r'<use [^>]*class="heat-\d[^"]*"/><title>([^<]+)</title>', text)
    assert len(marks) == len(drawn.map.cells)
    day = Certificate.objects.order_by("not_after").last()
    assert any(html.unescape(mark).startswith("12 expire on") for mark in marks), day
    assert "show as table" in text


def test_without_a_login_no_block_is_shown(client, db):
    for address in ("/admin/", "/admin/dashboard/tiles/", "/admin/search/?q=x"):
        assert client.get(address).status_code == 302


@pytest.mark.parametrize("address", ["/admin/", "/admin/dashboard/weeks/", "/admin/dashboard/needs/"])
def test_coverage_is_counted_when_somebody_looks_at_it_and_not_otherwise(small_fleet, page, address):
    assert "renewal.jobs.count_coverage" not in {job.function for job in PERIODIC_JOBS}
    queue = django_rq.get_queue("default")
    queue.connection.flushdb()
    cache.clear()
    page("/admin/dashboard/tiles/")
    assert queue.count == 0
    page(address)
    assert [job.func_name for job in queue.get_jobs()] == ["renewal.jobs.count_coverage"]
    queue.connection.flushdb()


@pytest.mark.parametrize(
    "address", ["ends/2026-W54/", "ends/site/1/2026/", "ends/country/1/2026-11/", "ends/site/x/2026-11/", "ends/never/"]
)
def test_an_address_of_no_cell_is_not_found(page, address):
    assert page.client.get(f"/admin/{address}").status_code == 404
