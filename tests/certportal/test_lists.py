"""Lists of the admin: every row once, Back and sent addresses work, counts say whether they are exact."""

import csv
import io
import json
import re
from html import unescape

import pytest
from django.contrib import admin
from django.db import connection
from django.urls import reverse

from certportal.models import SavedFilter, User
from inventory.lists import exports, row_counts
from inventory.lists.row_counts import Count
from inventory.models import (
    Alert,
    AuditAction,
    AuditEvent,
    Certificate,
    Delivery,
    Device,
    ImportRun,
    Mute,
    Recipient,
    UnexpectedSighting,
)
from inventory.models.device import ExpiredDevice, RevokedDevice
from renewal.models import Campaign
from revocation.models import Crl
from tests import factories, workbooks
from tests.certportal.api import rows
from tests.certportal.dashboard.test_dashboard import rows_of
from tests.factories import DAY, NOW

DEVICES = "admin:inventory_device_changelist"
CERTIFICATES = "admin:inventory_certificate_changelist"
EVERY_LIST = (DEVICES, CERTIFICATES, "admin:inventory_auditevent_changelist", "admin:renewal_target_changelist")
HOSTILE = "=HYPERLINK(\"http://evil\",'x')<script>"


def link(text: str, rel: str) -> str | None:
    found = re.search(rf'<a rel="{rel}" href="([^"]+)"', text)
    return unescape(found[1]) if found else None


def shown(text: str) -> list[int]:
    return [int(pk) for pk in re.findall(r'<th class="field-\w+[^"]*"><a href="[^"]*/(\d+)/change/', text)]


def pager(text: str) -> str:
    found = re.search(r'class="paginator keyset".*?</nav>', text, re.DOTALL)
    assert found
    return found[0]


def walk(page, address: str, rel: str = "next"):
    """Yield the ids of each page, and where it is."""
    base, onward = address.split("?")[0], address
    while onward:
        text = page(onward)
        yield shown(text), onward
        found = link(text, rel)
        onward = base + found if found else ""


@pytest.mark.parametrize("order", ["", "?o=1", "?o=-1", "?o=8", "?o=-8"])
def test_every_device_is_shown_exactly_once_while_others_are_added(page, db, order):
    made = rows.devices(130)
    factories.note_last_seen(
        {device: NOW - DAY / 50 * (number % 70) if number % 3 else None for number, device in enumerate(made)}
    )
    seen: list[int] = []
    for number, (ids, _) in enumerate(walk(page, reverse(DEVICES) + order)):
        seen += ids
        if number < 2:
            rows.devices(5)
    assert len(seen) == len(set(seen))
    assert {device.pk for device in made} <= set(seen)


def test_the_way_back_shows_the_same_pages(page, db):
    rows.certificates(rows.devices(120), step=DAY)
    there = list(walk(page, reverse(CERTIFICATES)))
    back = list(walk(page, there[-1][1], "prev"))
    assert [pk for ids, _ in reversed(back) for pk in ids] == [pk for ids, _ in there for pk in ids]


def test_filters_and_order_stay_in_the_links_and_the_position_does_not_stay_in_filters(page, db):
    rows.certificates(rows.devices(120), step=DAY)
    first = page(reverse(CERTIFICATES), state="valid", o="6")
    onward = link(first, "next") or ""
    assert "state=valid" in onward and "o=6" in onward
    second = page(reverse(CERTIFICATES) + onward)
    choices = re.findall(r'<li[^>]*>\s*<a href="(\?[^"]*)"', second)
    assert choices and not any("cursor=" in choice for choice in choices)


@pytest.mark.parametrize("name", EVERY_LIST)
@pytest.mark.parametrize("cursor", ["x", "é", "A" * 3000, "W10", "eyJhIjoxfQ"])
def test_a_cursor_of_no_list_is_refused_by_a_page_and_not_by_a_crash(client, boss, name, cursor):
    client.force_login(boss)
    answer = client.get(reverse(name), {"cursor": cursor})
    assert answer.status_code == 400 and "is no place in this list" in answer.content.decode()


@pytest.mark.parametrize("name", EVERY_LIST)
def test_no_list_is_read_by_offset(page, db, name, django_assert_max_num_queries):
    rows.certificates(rows.devices(60))
    with django_assert_max_num_queries(25) as captured:
        page(reverse(name))
    assert not [query for query in captured.captured_queries if "OFFSET" in query["sql"]]


def test_a_count_is_exact_in_a_small_table_and_says_about_in_a_large_one(page, db, monkeypatch):
    rows.devices(60)
    assert "about" not in pager(page(reverse(DEVICES)))
    monkeypatch.setattr(row_counts, "COUNTED_EXACTLY", -1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE inventory_device")
    large = pager(page(reverse(DEVICES), connectivity__exact="daily"))
    assert "about" in large
    exact = re.findall(r'href="([^"]*count=exact[^"]*)"', large)
    assert "about" not in pager(page(reverse(DEVICES) + unescape(exact[0])))


def test_an_estimate_is_near_the_count(db, monkeypatch):
    rows.devices(500)
    monkeypatch.setattr(row_counts, "COUNTED_EXACTLY", -1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE inventory_device")
    assert row_counts.about(Device.objects.all()) == Count(Device.objects.count(), exact=False)
    assert row_counts.about(Device.objects.none()) == Count(0, exact=True)
    assert 400 <= row_counts.about(Device.objects.filter(connectivity="daily")).number <= 600


# --- Exports --------------------------------------------------------------------------------------------------------


def body(answer) -> str:
    return b"".join(answer.streaming_content).decode()


@pytest.fixture
def hostile(db):
    """A device whose site, batch and subject would be formulas."""
    fleet = factories.fleet()
    device = factories.device(
        site=fleet.sites.create(name=HOSTILE), batch=fleet.batches.create(name="-1+1\nB"), phone_number="+60123456789"
    )
    rows.certificate(device, subject='@SUM(A1) "quoted\\" \u202e').save()
    return device


def ids_in(content: bytes, kind: str) -> list[int]:
    match kind:
        case "csv":
            return [int(row["id"]) for row in csv.DictReader(io.StringIO(content.decode()))]
        case "xlsx":
            [sheet] = workbooks.sheets(content).values()
            return [int(row[sheet[0].index("id")]) for row in sheet[1:]]
        case _:
            return [json.loads(line)["id"] for line in content.splitlines()]


@pytest.mark.parametrize("name", EVERY_LIST)
@pytest.mark.parametrize("kind", exports.Format.values)
def test_an_export_holds_the_rows_that_sql_counts(client, boss, small_fleet, name, kind):
    client.force_login(boss)
    model = dict(zip(EVERY_LIST[:3], (Device, Certificate, AuditEvent), strict=True)).get(name)
    expected = set(model.objects.values_list("id", flat=True)) if model else set()
    content = client.get(reverse(name.replace("changelist", "export"), args=[kind])).getvalue()
    found = ids_in(content, kind)
    assert len(found) == len(set(found))
    # The event of the export itself is written before.
    assert expected <= set(found) and len(found) <= len(expected) + 1


def test_an_export_holds_what_its_filter_shows(client, boss, small_fleet):
    client.force_login(boss)
    address = reverse("admin:inventory_certificate_export", args=["ndjson"])
    lines = [json.loads(line) for line in body(client.get(address, {"state": "revoked"})).splitlines()]
    assert {line["id"] for line in lines} == set(Certificate.objects.revoked().values_list("id", flat=True))
    assert {line["status"] for line in lines} == {"revoked"}


def test_an_unknown_filter_exports_nothing(client, boss, small_fleet):
    client.force_login(boss)
    address = reverse("admin:inventory_certificate_export", args=["csv"])
    assert client.get(address, {"state": "everything"}).status_code == 404
    assert client.get(address.replace("csv", "xml")).status_code == 404


def test_no_cell_of_a_csv_is_a_formula_and_json_keeps_names_as_they_are(client, boss, hostile):
    client.force_login(boss)
    for listed in ("device", "certificate"):
        address = f"admin:inventory_{listed}_export"
        table = list(csv.DictReader(io.StringIO(body(client.get(reverse(address, args=["csv"]))))))
        assert not [cell for row in table for cell in row.values() if cell[:1] in tuple("=+-@\t\r") and cell]
        book = client.get(reverse(address, args=["xlsx"])).getvalue()
        assert workbooks.formulas(book) == []
        assert any(HOSTILE in row for [sheet] in [workbooks.sheets(book).values()] for row in sheet)
        row = next(row for row in table if row["site"])
        assert (row["site"], row["batch"]) == (f"'{HOSTILE}", "'-1+1\nB")
        lines = [json.loads(line) for line in body(client.get(reverse(address, args=["ndjson"]))).splitlines()]
        assert next(line for line in lines if line["site"])["site"] == HOSTILE
    assert next(line for line in lines if line["site"])["subject"] == '@SUM(A1) "quoted\\" \u202e'


def test_an_export_is_told_of_in_the_log_with_its_filter_and_its_rows(client, boss, small_fleet):
    client.force_login(boss)
    answer = client.get(reverse("admin:inventory_device_export", args=["csv"]), {"connectivity__exact": "daily"})
    started = AuditEvent.objects.get(action=AuditAction.EXPORT_STARTED)
    assert (started.actor, started.details["filter"]) == ("boss", "connectivity__exact=daily")
    count = len(body(answer).splitlines()) - 1
    ended = AuditEvent.objects.get(action=AuditAction.EXPORT_ENDED)
    assert ended.details == {"filter": "connectivity__exact=daily", "format": "csv", "rows": count, "whole": True}


def test_an_export_that_nobody_reads_to_the_end_says_so_and_gives_its_place_back(client, boss, small_fleet):
    client.force_login(boss)
    for _ in range(exports.MOST_AT_ONCE + 1):
        answer = client.get(reverse("admin:inventory_device_export", args=["csv"]))
        stream = iter(answer.streaming_content)
        next(stream), next(stream)
        # As a server does when the client is gone.
        for close in answer._resource_closers:
            close()
    assert not AuditEvent.objects.filter(action=AuditAction.EXPORT_ENDED, details__whole=True).exists()


def test_one_export_too_many_is_refused_with_the_limit(client, boss, small_fleet):
    client.force_login(boss)
    address = reverse("admin:inventory_device_export", args=["csv"])
    running = [client.get(address) for _ in range(exports.MOST_AT_ONCE)]
    refused = client.get(address)
    assert refused.status_code == 503
    assert "4 exports are running" in refused.content.decode()
    for answer in running:
        body(answer)
    assert body(client.get(address))


def test_who_may_not_see_a_list_may_not_export_it(client, db):
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert client.get(reverse("admin:inventory_device_export", args=["csv"])).status_code == 403


# --- Nothing to show -------------------------------------------------------------------------------------------------


EMPTY = (
    Device,
    Certificate,
    Alert,
    ImportRun,
    UnexpectedSighting,
    Recipient,
    Mute,
    Delivery,
    ExpiredDevice,
    RevokedDevice,
    Campaign,
    Crl,
)


@pytest.mark.parametrize("model", EMPTY)
def test_an_empty_list_says_what_would_stand_there(page, model):
    text = page(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"))
    assert str(admin.site._registry[model].empty_state) in unescape(text)


def test_a_filter_that_nothing_matches_leads_back_to_all(page, small_fleet):
    text = page(reverse(DEVICES), connectivity__exact="always_on", q="nothing-of-that-name")
    assert "Nothing matches." in text and 'href="?"' in text


# --- Saved filters --------------------------------------------------------------------------------------------------


def kept(client, **values: str):
    data = {"list": "inventory_device", "name": "quiet", "query": "seen=silent&cursor=abc", **values}
    return client.post(reverse("admin:saved_filter_keep"), data)


def test_a_filter_is_kept_without_its_position_and_opens_by_its_address(client, boss, page):
    kept(client)
    saved = SavedFilter.objects.get()
    assert (saved.owner, saved.query, saved.shared) == (boss, "seen=silent", False)
    answer = client.get(reverse("admin:saved_filter", args=[saved.pk]))
    assert answer.headers["Location"] == f"{reverse(DEVICES)}?seen=silent"
    assert "quiet" in page(reverse(DEVICES))
    kept(client, query="seen=never")
    assert SavedFilter.objects.get().query == "seen=never"


def test_only_a_shared_filter_is_seen_by_others_and_only_its_owner_forgets_it(client, boss, viewer):
    own = SavedFilter.objects.create(owner=boss, list="inventory_device", name="mine", query="", created_at=NOW)
    shared = SavedFilter.objects.create(
        owner=boss, list="inventory_device", name="<script>ours", query="", shared=True, created_at=NOW
    )
    client.force_login(viewer)
    text = client.get(reverse(DEVICES)).content.decode()
    assert "mine" not in text and "&lt;script&gt;ours" in text
    assert client.get(reverse("admin:saved_filter", args=[own.pk])).status_code == 404
    assert client.get(reverse("admin:saved_filter", args=[shared.pk])).status_code == 302
    assert client.post(reverse("admin:saved_filter_forget", args=[shared.pk])).status_code == 404


@pytest.mark.parametrize(
    "values", [{"name": ""}, {"name": "x" * 101}, {"name": "a\x00b"}, {"query": "q=" + "x" * 3000}]
)
def test_what_cannot_be_kept_is_said(client, boss, values):
    client.force_login(boss)
    assert kept(client, **values).status_code == 302
    assert not SavedFilter.objects.exists()


def test_a_list_that_nobody_keeps_filters_of_is_unknown(client, boss):
    client.force_login(boss)
    assert kept(client, list="certportal_user").status_code == 404


@pytest.mark.parametrize("group", ["site", "batch"])
def test_without_a_group_are_certificates_of_devices_and_not_the_portals_own(page, db, group):
    lone = factories.enrolled().certificate
    text = page(reverse(CERTIFICATES), **{group: "none", "count": "exact"})
    assert shown(text) == [lone.pk]
    assert rows_of(text) == 1
