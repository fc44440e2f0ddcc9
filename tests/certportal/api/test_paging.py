"""Keyset paging: every row exactly once, at a constant number of queries, and no cursor but our own."""

import base64
import contextlib
import json
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.cache import cache
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from inventory.lists.cursors import Cursor, InvalidCursor
from inventory.models import Certificate, Purpose
from tests import factories
from tests.certportal.api import rows
from tests.factories import DAY, NOW

CERTIFICATES = "/api/v1/certificates/"


def walk(client: APIClient, address: str | None, link: str = "next") -> Iterator[list[int]]:
    """Yield the ids of each page from `address` on."""
    while address:
        page = client.get(address).json()
        yield [row["id"] for row in page["results"]]
        address = page[link]


def addresses(client: APIClient, address: str | None) -> Iterator[str]:
    while address:
        yield address
        address = client.get(address).json()["next"]


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ("", [30, -5, 20, -10]),
        ("not_after_after={now}", [20, 30]),
        ("not_after_before={now}", [-10, -5]),
        ("status=expired", [-10, -5]),
        ("status=expired&ordering=-not_after", [-5, -10]),
        ("not_after_after={now}&ordering=id", [20, 30]),
    ],
)
def test_what_is_asked_for_by_its_end_comes_in_the_order_of_ends(reader, query, days):
    now = timezone.now()
    made = rows.devices(4)
    ends = {now + day * DAY: day for day in (-10, 20, -5, 30)}
    Certificate.objects.bulk_create(
        rows.certificate(device, not_after=end) for device, end in zip(made, ends, strict=True)
    )
    asked = query.format(now=now.isoformat().replace("+", "%2B"))
    found = [
        row["not_after"]
        for address in addresses(reader, f"{CERTIFICATES}?purpose=device&limit=1&{asked}".rstrip("&"))
        for row in reader.get(address).json()["results"]
    ]
    assert [ends[datetime.fromisoformat(end)] for end in found] == days


@pytest.mark.parametrize("ordering", ["-id", "id", "not_after", "-not_after"])
@given(
    ends=st.lists(st.integers(0, 4), min_size=1, max_size=25),
    later=st.lists(st.integers(0, 4), max_size=5),
    limit=st.integers(1, 7),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_appears_exactly_once_while_others_are_inserted(reader, ordering, ends, later, limit):
    cache.clear()
    Certificate.objects.filter(authority__slug="paged", purpose=Purpose.DEVICE).delete()
    fleet = factories.fleet("paged", authority=factories.authority("paged"))
    (device,) = rows.devices(1, fleet=fleet)

    def insert(days: list[int]) -> set[int]:
        made = [rows.certificate(device, not_after=NOW + day * DAY) for day in days]
        return {certificate.id for certificate in Certificate.objects.bulk_create(made)}

    before = insert(ends)
    seen = []
    address = f"{CERTIFICATES}?authority=paged&purpose=device&ordering={ordering}&limit={limit}"
    for number, page in enumerate(walk(reader, address)):
        seen += page
        if number < 3:  # else a list read from its growing end has no end
            insert(later)
    assert len(seen) == len(set(seen))
    assert before <= set(seen)


def test_the_way_back_shows_the_same_pages_in_reverse(reader):
    rows.certificates(rows.devices(23), step=DAY)
    there = list(walk(reader, f"{CERTIFICATES}?ordering=not_after&limit=5"))
    *_, last = addresses(reader, f"{CERTIFICATES}?ordering=not_after&limit=5")
    back = list(walk(reader, last, "previous"))
    assert [row for page in reversed(back) for row in page] == [row for page in there for row in page]


def test_rows_that_end_at_the_same_moment_are_told_apart_by_their_id(reader):
    made = rows.certificates(rows.devices(30))
    pages = list(walk(reader, f"{CERTIFICATES}?ordering=not_after&purpose=device&limit=7"))
    assert [row for page in pages for row in page] == [certificate.id for certificate in made]


def test_a_page_has_a_hundred_rows_unless_asked_otherwise(reader):
    rows.certificates(rows.devices(101))
    page = reader.get(CERTIFICATES).json()
    assert len(page["results"]) == 100
    assert page["previous"] is None
    assert len(reader.get(page["next"]).json()["results"]) == 3  # and the certificates of root and issuer


def test_filters_stay_in_the_links(reader):
    rows.certificates(rows.devices(3))
    page = reader.get(f"{CERTIFICATES}?purpose=device&limit=1").json()
    assert parse_qs(urlsplit(page["next"]).query)["purpose"] == ["device"]


def test_any_page_of_a_list_costs_the_same_queries_and_never_a_count(reader, django_assert_num_queries):
    made = rows.certificates(rows.devices(300), step=DAY)
    middle = Cursor("inventory.certificate", "not_after", False, made[150].not_after.isoformat(), made[150].id).encode()
    for address in (
        f"{CERTIFICATES}?ordering=not_after&limit=10",
        f"{CERTIFICATES}?ordering=not_after&cursor={middle}",
    ):
        reader.get(address)  # the token notes its use in the first request of a minute
        with django_assert_num_queries(4) as captured:  # the token, the permissions of user and groups, the page
            reader.get(address)
        assert "COUNT(" not in str(captured.captured_queries)
        assert '."der"' not in captured.captured_queries[-1]["sql"]


def test_a_page_deep_in_the_list_is_one_range_of_one_index(reader, django_assert_num_queries):
    made = rows.certificates(rows.devices(3))
    cursor = Cursor("inventory.certificate", "not_after", False, made[0].not_after.isoformat(), made[0].id).encode()
    address = f"{CERTIFICATES}?ordering=not_after&cursor={cursor}"
    reader.get(address)
    with django_assert_num_queries(4) as captured:
        reader.get(address)
    assert (
        'ROW("inventory_certificate"."not_after", "inventory_certificate"."id") > (ROW('
        in (captured.captured_queries[-1]["sql"])
    )
    assert "OFFSET" not in captured.captured_queries[-1]["sql"]


OF = "inventory.certificate"


def test_a_cursor_of_another_list_is_refused(reader):
    made = rows.certificates(rows.devices(3))
    cursor = parse_qs(urlsplit(reader.get("/api/v1/devices/?limit=1").json()["next"]).query)["cursor"][0]
    assert reader.get("/api/v1/devices/", {"cursor": cursor}).status_code == 200
    assert reader.get(CERTIFICATES, {"cursor": cursor}).status_code == 400
    assert made


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "é",
        "====",
        "A" * 5000,
        encoded({}),
        encoded([]),
        encoded(None),
        encoded([OF, "-id", False, "1"]),
        encoded([OF, "-id", False, "1", "1"]),
        encoded([OF, "-id", False, "1", True]),
        encoded([OF, "-id", False, "1", -1]),
        encoded([OF, "-id", False, "1", 1 << 63]),
        encoded([OF, "-id", 0, "1", 1]),
        encoded([OF, "-id", False, "one", 1]),
        encoded([OF, "serial", False, "1", 1]),
        encoded([OF, "id", False, "1", 1]),
    ],
)
def test_a_cursor_that_this_list_did_not_make_is_refused(reader, cursor):
    answer = reader.get(CERTIFICATES, {"cursor": cursor})
    assert answer.status_code == 400
    assert list(answer.json()["error"]["details"]) == ["cursor"]


@pytest.mark.parametrize("value", ["", "yesterday", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-10:00", "9" * 900])
def test_a_cursor_with_an_impossible_moment_is_refused(reader, value):
    cursor = encoded([OF, "not_after", False, value, 1])
    assert reader.get(CERTIFICATES, {"cursor": cursor, "ordering": "not_after"}).status_code == 400


def test_a_cursor_with_a_text_that_postgresql_cannot_hold_is_refused(reader):
    cursor = encoded(["inventory.device", "serial", False, "a\x00b", 1])
    assert reader.get("/api/v1/devices/", {"cursor": cursor, "ordering": "serial"}).status_code == 400


@given(st.text())
@settings(max_examples=200)
def test_decoding_any_text_gives_a_cursor_or_invalid_cursor(text):
    with contextlib.suppress(InvalidCursor):
        assert isinstance(Cursor.decode(text), Cursor)


@given(
    st.builds(
        Cursor,
        st.just("inventory.device"),
        st.text(max_size=20),
        st.booleans(),
        st.text(max_size=100),
        st.integers(0, (1 << 63) - 1),
    )
)
def test_a_cursor_survives_its_encoding(cursor):
    assert Cursor.decode(cursor.encode()) == cursor


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "ten", "1.5", "٣", "9" * 5000, "+5", "1e2"])
def test_a_limit_out_of_bounds_is_refused_with_the_bounds(reader, limit):
    answer = reader.get(CERTIFICATES, {"limit": limit})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"] == {"limit": ["A page holds from 1 to 1000 rows."]}


def test_an_ordering_without_an_index_is_refused_with_those_that_have_one(reader):
    answer = reader.get(CERTIFICATES, {"ordering": "subject"})
    assert answer.status_code == 400
    assert "-id, id, not_after, -not_after" in answer.json()["error"]["details"]["ordering"][0]
