"""How weeks divide: each number equals the list that `covered` gives, at the moment it was counted."""

from datetime import date, timedelta

import django_rq
import pytest
from django.core.cache import cache
from django.utils import timezone

from inventory.audit.record import SYSTEM
from inventory.expiry.cliffs import start_of
from inventory.issuing.certificates import Admission, issue
from inventory.models import Certificate, RevocationReason
from inventory.sightings import record_sighting
from renewal import coverage_counts, jobs
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.planning import Plan
from renewal.coverage import Coverage, covered
from renewal.models import CoverageCount
from revocation import orders
from tests import factories
from tests.factories import DAY, NOW

FIRST, LAST = (NOW - 30 * DAY).date(), (NOW + 500 * DAY).date()


def renew(found: factories.Enrolled, *, used: bool) -> Certificate:
    request = factories.certification_request()
    admission = Admission(found.device, factories.profile(), factories.authority(), request, SYSTEM, found.certificate)
    renewed = issue(admission, NOW)
    if used:
        record_sighting(renewed, found.device, now=NOW, actor=SYSTEM)
    return renewed


@pytest.fixture
def fleet(db):
    """Certificates of every coverage, on the day of NOW too, before and after it."""
    hour = timedelta(hours=1)
    for ends in (-20 * DAY, -2 * hour, 2 * hour, 20 * DAY, 40 * DAY):
        factories.enrolled(expires_in=ends)
        renew(factories.enrolled(expires_in=ends), used=False)
        renew(factories.enrolled(expires_in=ends), used=True)
    revoked = renew(factories.enrolled(expires_in=21 * DAY), used=False)
    orders.revoke(revoked, orders.Order(RevocationReason.UNSPECIFIED, SYSTEM), NOW)
    fleet = factories.fleet()
    planning.plan(Plan("May", Selection(fleet, NOW - DAY, NOW + 30 * DAY), NOW + DAY), now=NOW, actor=SYSTEM)
    # Renewed after it was planned, and no tick has seen it yet.
    last = Certificate.objects.get(campaign_targets__isnull=False, not_after__date=(NOW + 20 * DAY).date())
    renew(factories.Enrolled(last.device, last, factories.spare_key()), used=False)
    return fleet


def by_lists(day: date, fleet_id: int | None) -> dict[Coverage, int]:
    start = start_of(day)
    certificates = Certificate.objects.filter(not_after__gte=start, not_after__lt=start + DAY)
    if fleet_id is not None:
        certificates = certificates.filter(device__fleet_id=fleet_id)
    counts = {part: covered(certificates, part.value, NOW).count() for part in Coverage}
    return {part: count for part, count in counts.items() if count}


def test_each_day_divides_as_the_lists_do(fleet):
    coverage_counts.count_anew(NOW)
    other = factories.fleet("pumps")
    for fleet_id in (None, fleet.pk, other.pk):
        counted = coverage_counts.by_day(FIRST, LAST, NOW, fleets=fleet_id and [fleet_id])
        days = {*(at.date() for at in Certificate.objects.of_devices().values_list("not_after", flat=True)), *counted}
        assert counted == {day: parts for day in days if (parts := by_lists(day, fleet_id))}


def test_expired_are_those_who_stand_on_what_ended(fleet):
    coverage_counts.count_anew(NOW)
    ended = Certificate.objects.of_devices().expired(NOW)
    assert coverage_counts.expired(ended.count()) == covered(ended, Coverage.EXPIRED.value, NOW).count() == 2


def test_before_it_was_counted_what_stands_is_planned_by_nobody(fleet):
    sums = coverage_counts.by_day(FIRST, LAST, NOW).values()
    assert sum(parts.get(Coverage.IN_CAMPAIGN, 0) for parts in sums) == 0
    coverage_counts.count_anew(NOW)
    anew = coverage_counts.by_day(FIRST, LAST, NOW).values()
    assert sum(sum(parts.values()) for parts in sums) == sum(sum(parts.values()) for parts in anew)


def test_counting_again_replaces_what_was_counted(fleet):
    for _ in range(2):
        coverage_counts.count_anew(NOW)
    assert CoverageCount.objects.filter(in_campaign__gt=0).count() == 2


def test_counting_costs_the_same_whatever_there_is(fleet, django_assert_num_queries):
    # A savepoint, the lock, the deletion and the count.
    with django_assert_num_queries(5):
        coverage_counts.count_anew(NOW)


@pytest.fixture
def queue():
    named = django_rq.get_queue("default", commit_mode="auto")
    named.connection.flushdb()
    cache.clear()
    yield named
    named.connection.flushdb()
    cache.clear()


def asks(queue, now) -> bool:
    coverage_counts.ask_if_old(now)
    jobs = queue.get_jobs()
    queue.empty()
    coverage_counts.begin_count()
    return [job.func_name for job in jobs] == ["renewal.jobs.count_coverage"]


@pytest.mark.parametrize(("took", "old_after"), [(timedelta(0), 30), (timedelta(seconds=3), 150)])
def test_who_looks_has_it_counted_again_when_it_is_old_and_counting_takes_a_small_share_of_the_time(
    queue, took, old_after
):
    assert asks(queue, NOW)
    coverage_counts.note_count(NOW, took)
    second = timedelta(seconds=1)
    assert [asks(queue, NOW + seconds * second) for seconds in (0, old_after - 1, old_after)] == [False, False, True]


def test_many_who_look_at_once_make_one_job(queue):
    for _ in range(5):
        coverage_counts.ask_if_old(NOW)
    assert queue.count == 1


def test_a_job_that_has_counted_is_asked_for_again_only_when_its_count_is_old(queue, db):
    jobs.count_coverage()
    coverage_counts.ask_if_old(timezone.now())
    assert queue.count == 0
