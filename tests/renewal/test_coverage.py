"""What is planned for a certificate that ends: the list of each answer holds what the rows themselves say."""

import pytest

from inventory.models import Certificate
from renewal.campaigns import planning
from renewal.campaigns.planning import Plan, Selection
from renewal.coverage import Coverage, covered, with_coverage
from tests import factories
from tests.certportal.api import rows
from tests.factories import DAY, NOW


@pytest.mark.parametrize("coverage", Coverage.values)
def test_the_list_of_each_answer_holds_the_rows_annotated_with_it(db, coverage):
    devices = rows.devices(8)
    ended, renewed, planned, free = devices[:2], devices[2:4], devices[4:6], devices[6:]
    made = [rows.certificate(device, not_after=NOW - DAY) for device in ended]
    made += [rows.certificate(device, not_after=NOW + 20 * DAY) for device in renewed for _ in range(2)]
    made += [rows.certificate(device, not_after=NOW + 40 * DAY) for device in planned]
    made += [rows.certificate(device, not_after=NOW + 300 * DAY) for device in free]
    made += [rows.certificate(free[0], **rows.REVOKED)]
    Certificate.objects.bulk_create(made)
    selection = Selection(factories.fleet(), NOW + 30 * DAY, NOW + 50 * DAY)
    planning.plan(Plan("spring", selection, due_at=NOW + 60 * DAY), now=NOW, actor=factories.SYSTEM)
    annotated = with_coverage(Certificate.objects.all(), NOW).filter(coverage=coverage)
    found = covered(Certificate.objects.all(), coverage, NOW)
    assert set(found) == set(annotated)
    assert found.exists()
