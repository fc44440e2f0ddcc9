"""Fifty thousand certificates that end on one day: seen, named, counted to the row, and one click from their list."""

import random

import pytest
from django.db import connection
from django.utils import timezone

from certportal.dashboard import expiry_map, needs
from certportal.dashboard.scope import Scope
from inventory.counters.checking import differences
from inventory.counters.folding import fold_all
from inventory.expiry.cliffs import cliffs, start_of
from inventory.models import Axis, Batch, Site
from renewal import coverage_counts
from tests import factories
from tests.certportal.dashboard.test_dashboard import rows_of
from tests.factories import DAY
from tests.inventory.counters.planting import execute, plant

SPIKE = 50_000


@pytest.fixture
def spiked(db):
    """A fleet of 51,000: the spike is one batch at one site, all others are spread over a year."""
    now = timezone.now()
    fleet = factories.fleet()
    places = {
        "site_id": Site.objects.create(fleet=fleet, name="Penang").pk,
        "batch_id": Batch.objects.create(fleet=fleet, name="B7").pk,
    }
    template = factories.enrolled(now=now).certificate
    plant(template, SPIKE, not_after=start_of(now.date() + 60 * DAY) + DAY / 2, **places)
    for number in range(100):
        plant(template, 10, not_after=now + (3 * number + 5) * DAY, site_id=places["site_id"])
    # As autovacuum would within a minute.
    execute("ANALYZE inventory_device, inventory_certificate")
    return fleet


def test_a_planted_spike_of_fifty_thousand_is_visible_named_and_one_click_away(spiked, page):
    now = timezone.now()
    assert differences() == []
    fold_all()
    assert differences() == []

    [cliff] = cliffs(now)
    assert (cliff.count, cliff.cause.axis, cliff.cause.name) == (SPIKE, Axis.BATCH, "B7")
    drawn = expiry_map.read(Scope(), now)
    [x] = drawn.map.outlined
    [column] = [column for column in drawn.map.columns if column.x == x]
    assert rows_of(page(drawn.column_urls[column])) == SPIKE
    assert [(label.day, label.count) for label in drawn.map.cliffs] == [(cliff.day, SPIKE)]

    with connection.cursor() as cursor:
        for cell in random.Random(3).sample(drawn.map.cells, 3):  # noqa: S311
            cursor.execute(
                "SELECT count(*) FROM inventory_certificate JOIN inventory_device d ON d.id = device_id"
                " WHERE d.site_id IS NOT DISTINCT FROM %s AND state IN ('issued', 'confirmed')"
                " AND not_after >= %s AND not_after < %s",
                [cell.row, start_of(cell.column.start), start_of(cell.column.end)],
            )
            assert cursor.fetchone() == (cell.count,)

    coverage_counts.count_anew(now)
    [need] = [need for need in needs.read(Scope(), now, cliffs(now), []) if need.text.startswith("Cliff")]
    assert "50,000 of 51,001 expire on" in need.text
    assert "(batch B7), 50,000 unplanned" in need.text
    assert "B7" in page(need.url)
