from datetime import UTC, date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.expiry.cliffs import (
    CLIFF_FACTOR,
    CLIFF_LEAST,
    CLIFF_SHARE,
    cliffs,
    is_cliff,
    of_cliff,
    start_of,
)
from inventory.models import Axis, Batch, Certificate, Site
from tests import factories
from tests.factories import DAY, NOW

TODAY = NOW.date()


@given(count=st.integers(0, 10**6), size=st.integers(0, 10**7), around=st.integers(0, 10**6), days=st.integers(0, 30))
def test_a_cliff_holds_its_share_and_stands_out_from_the_days_around(count, size, around, days):
    enough = count >= max(CLIFF_LEAST, CLIFF_SHARE * size)
    stands_out = not days or count * days >= CLIFF_FACTOR * around * (1 - 1e-9)
    if is_cliff(count, fleet_size=size, around=around, days_around=days):
        assert enough and stands_out
    else:
        assert not enough or (days and count * days <= CLIFF_FACTOR * around * (1 + 1e-9))


def test_a_fleet_that_renews_weekly_has_a_rhythm_and_no_cliffs():
    assert not is_cliff(1000, fleet_size=7000, around=6000, days_around=6)


def test_a_fleet_made_in_a_day_and_spread_over_a_month_has_no_cliffs():
    assert not is_cliff(1000, fleet_size=30_000, around=15_000, days_around=30)


def test_fifty_thousand_of_two_million_on_one_day_are_a_cliff():
    assert is_cliff(50_000, fleet_size=2_250_000, around=60_000, days_around=30)


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
    assert of_cliff(cliff).count() == 12


def test_a_cliff_of_another_fleet_is_left_out(planted):
    other = factories.fleet("pumps")
    assert cliffs(NOW, [other.pk]) == []
    assert len(cliffs(NOW, [planted.pk])) == 1


def test_what_is_revoked_ends_no_more(planted):
    Certificate.objects.filter(not_after__date=(NOW + 40 * DAY).date()).update(
        state="revoked", revoked_at=NOW, revocation_reason="unspecified"
    )
    assert cliffs(NOW) == []


def test_looking_for_cliffs_costs_the_same_whatever_the_fleet_holds(planted, django_assert_max_num_queries):
    with django_assert_max_num_queries(11):
        cliffs(NOW)
    for _ in range(11):
        factories.enrolled(factories.device(), expires_in=90 * DAY)
    with django_assert_max_num_queries(11):
        assert len(cliffs(NOW)) == 2


def test_a_day_is_a_day_of_utc():
    assert start_of(date(2027, 3, 1)).isoformat() == "2027-03-01T00:00:00+00:00"
    assert start_of(date(2027, 3, 1)).tzinfo is UTC
