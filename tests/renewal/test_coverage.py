"""What is planned for a certificate that ends: the list of each answer holds what the rows themselves say."""

import pytest

from inventory.counters.folding import fold_all
from inventory.models import Certificate
from renewal.campaigns import choosing, planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.observing import Progress, observe
from renewal.campaigns.planning import Plan
from renewal.coverage import Coverage, covered, with_coverage
from renewal.coverage_counts import by_day, count_anew
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


def imported_later(device, **changes):
    """What another authority signed years ago, written down after the certificate that replaced it."""
    return rows.certificate(
        device, issued_at=NOW - 1500 * DAY, not_before=NOW - 1500 * DAY, not_after=NOW + 900 * DAY, **changes
    )


@pytest.fixture
def with_history(db):
    """A device that stands on a certificate that ends, and on an older one with a later key."""
    [device] = rows.devices(1)
    ending = rows.certificate(device, not_after=NOW + 20 * DAY, issued_at=NOW - 300 * DAY)
    for certificate in (ending, imported_later(device)):
        certificate.save()
    return ending


def test_history_that_is_imported_later_renews_nothing(with_history):
    assert with_history in covered(Certificate.objects.all(), Coverage.UNPLANNED, NOW)
    assert with_history in choosing.selected(Selection(with_history.device.fleet, NOW, NOW + 30 * DAY))
    fold_all()
    count_anew(NOW)
    day = with_history.not_after.date()
    assert by_day(day, day + DAY, NOW)[day] == {Coverage.UNPLANNED: 1}


def test_history_that_is_imported_later_confirms_no_target(with_history):
    selection = Selection(with_history.device.fleet, NOW, NOW + 30 * DAY)
    campaign = planning.plan(Plan("spring", selection, due_at=NOW + 15 * DAY), now=NOW, actor=factories.SYSTEM)
    imported_later(with_history.device).save()
    imported_later(with_history.device, state="issued", activated_at=None).save()
    assert observe(campaign, NOW) == Progress()
    renewal = rows.certificate(with_history.device, issued_at=NOW)
    renewal.save()
    assert observe(campaign, NOW).confirmed == 1
    assert campaign.targets.get().renewed_certificate == renewal
