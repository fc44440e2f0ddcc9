from datetime import UTC, date, timedelta

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from inventory import expiry
from inventory.expiry import Axis, by_day, cliff_days, cliffs, start_of
from inventory.models import Batch, Certificate, Site
from tests import factories
from tests.factories import DAY, NOW

TODAY = NOW.date()


@given(
    counts=st.dictionaries(st.dates(TODAY, TODAY + timedelta(days=364)), st.integers(1, 50_000), max_size=50),
    fleet_size=st.integers(1, 100_000),
)
def test_a_cliff_holds_its_share_and_stands_out_from_the_mean(counts, fleet_size):
    mean = sum(counts.values()) / 365
    found = cliff_days(counts, fleet_size, 365)
    for day, count in counts.items():
        is_cliff = count >= max(expiry.CLIFF_LEAST, expiry.CLIFF_SHARE * fleet_size, expiry.CLIFF_FACTOR * mean)
        assert (day in found) == is_cliff
    assert [counts[day] for day in found] == sorted((counts[day] for day in found), reverse=True)


def test_a_fleet_that_renews_weekly_has_a_rhythm_and_no_cliffs():
    assert cliff_days({TODAY + timedelta(days=i): 1000 for i in range(7)}, 7000, 7) == []


@pytest.fixture
def planted(db):
    """Twelve meters of batch B7 at two sites that end in one day, among others."""
    fleet = factories.fleet()
    sites = [Site.objects.create(fleet=fleet, name=name) for name in ("Penang", "Johor")]
    b6, b7 = (Batch.objects.create(fleet=fleet, name=name) for name in ("B6", "B7"))
    for index in range(12):
        device = factories.device(site=sites[index % 2], batch=b7)
        factories.enrolled(device, expires_in=40 * DAY)
    for index in range(6):
        factories.enrolled(factories.device(site=sites[0], batch=b6), expires_in=(50 + 9 * index) * DAY)
    return fleet


def test_the_planted_cliff_is_found_and_its_batch_is_named(planted):
    (cliff,) = cliffs(NOW)
    assert (cliff.fleet_name, cliff.day, cliff.count, cliff.fleet_size) == ("demo", (NOW + 40 * DAY).date(), 12, 18)
    assert (cliff.cause.axis, cliff.cause.name, cliff.cause.count) == (Axis.BATCH, "B7", 12)
    assert expiry.of_cliff(cliff).count() == 12


def test_a_cliff_of_another_fleet_is_left_out(planted):
    other = factories.fleet("pumps")
    assert cliffs(NOW, other.pk) == []
    assert len(cliffs(NOW, planted.pk)) == 1


def test_what_is_revoked_ends_no_more(planted):
    Certificate.objects.filter(not_after__date=(NOW + 40 * DAY).date()).update(
        state="revoked", revoked_at=NOW, revocation_reason="unspecified"
    )
    assert cliffs(NOW) == []


def test_looking_for_cliffs_costs_the_same_whatever_the_fleet_holds(planted, django_assert_num_queries):
    with django_assert_num_queries(5):
        cliffs(NOW)
    for _ in range(11):
        factories.enrolled(factories.device(), expires_in=90 * DAY)
    with django_assert_num_queries(5):
        assert len(cliffs(NOW)) == 2


@pytest.mark.parametrize("axis", Axis)
def test_counts_by_day_equal_sql(planted, axis):
    start, end = start_of(TODAY), start_of(TODAY + timedelta(days=365))
    found = by_day(Certificate.objects.all(), axis, start, end)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT d.{axis.value}_id, (c.not_after AT TIME ZONE 'UTC')::date, count(*) FROM inventory_certificate c "  # noqa: S608
            "JOIN inventory_device d ON d.id = c.device_id WHERE c.state IN ('issued', 'confirmed') GROUP BY 1, 2"
        )
        assert found == {(group, day): count for group, day, count in cursor.fetchall()}


def test_a_day_is_a_day_of_utc():
    assert start_of(date(2027, 3, 1)).isoformat() == "2027-03-01T00:00:00+00:00"
    assert start_of(date(2027, 3, 1)).tzinfo is UTC
