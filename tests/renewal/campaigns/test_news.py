"""A campaign looks at the devices that something happened to, misses none whenever it was committed, and proves it."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection, transaction

from inventory.audit import changes
from inventory.audit.record import SYSTEM, event, record
from inventory.models import AuditAction, Authority, Certificate, Device, DeviceStatus, RevocationReason
from inventory.sightings import record_sighting
from inventory.x509.csr import parse
from renewal import enrolling
from renewal.campaigns import news
from renewal.campaigns.observing import SWEEP_EVERY, Progress, observe
from renewal.models import Campaign, Target, TargetState
from revocation.orders import Order, revoke
from tests.factories import NOW, Enrolled
from tests.renewal.rows import meters, running_campaign

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
_SECONDS = 60


def watched() -> Campaign:
    """A campaign that has looked at everything, and since then goes by the log."""
    campaign = running_campaign()
    for _ in range(2):
        observe(campaign, NOW)
    assert read_to(campaign)
    return campaign


def read_to(campaign: Campaign) -> int:
    """How far it has read the log."""
    mark = Campaign.objects.get(pk=campaign.pk).news_read_to
    assert mark is not None
    return mark


def renewed(meter: Enrolled) -> Certificate:
    outcome = enrolling.renew(meter.der, parse(meter.renewal_request()), label=None, now=NOW, source_address=None)
    assert isinstance(outcome, Certificate), outcome
    return outcome


def states(campaign: Campaign) -> Counter[str]:
    return Counter(Target.objects.filter(campaign=campaign).values_list("state", flat=True))


def test_a_look_costs_the_same_while_nothing_happens_whatever_the_number_of_targets(django_assert_num_queries):
    meters(30)
    campaign = watched()
    # Mark, look, savepoint, news, mark, release.
    with django_assert_num_queries(6):
        assert observe(campaign, NOW) == Progress()


def test_only_those_are_looked_at_that_something_happened_to():
    first, second, *_ = meters(5)
    campaign = watched()
    renewed(first)
    new = renewed(second)
    record_sighting(new, second.device, now=NOW, actor=SYSTEM)
    found = news.since(read_to(campaign), campaign.pk)
    assert (len(found.targets), found.of_any) == (2, False)
    assert observe(campaign, NOW) == Progress(confirmed=1, issued=1)
    assert states(campaign) == {"issued": 1, "confirmed": 1, "planned": 3}


def test_who_leaves_service_or_is_revoked_is_withdrawn_by_the_log():
    first, second, _ = meters(3)
    campaign = watched()
    Device.objects.filter(pk=first.device.pk).update(status=DeviceStatus.RETIRED)
    record([changes.changed(first.device, {"status": ["in_service", "retired"]}, actor=SYSTEM, now=NOW)])
    revoke(second.certificate, Order(RevocationReason.KEY_COMPROMISE, SYSTEM), NOW)
    assert observe(campaign, NOW) == Progress(withdrawn=2)


def test_when_an_authority_is_revoked_all_that_can_renew_no_more_are_withdrawn():
    [meter] = meters(1)
    campaign = watched()
    above = Authority.objects.get(pk=meter.certificate.authority.parent_id)
    revoke(meter.certificate.authority.certificate, Order(RevocationReason.CA_COMPROMISE, SYSTEM), NOW)
    assert above.certificate.state != "revoked"
    assert observe(campaign, NOW) == Progress(withdrawn=1)


def test_the_first_look_finds_whatever_has_happened_since_the_targets_were_frozen():
    issued, used, retired, withdrawn, _silent = meters(5)
    campaign = running_campaign()
    renewed(issued)
    record_sighting(renewed(used), used.device, now=NOW, actor=SYSTEM)
    Device.objects.filter(pk=retired.device.pk).update(status=DeviceStatus.RETIRED)
    revoke(withdrawn.certificate, Order(RevocationReason.KEY_COMPROMISE, SYSTEM), NOW)
    assert observe(campaign, NOW) == Progress(confirmed=1, issued=1, withdrawn=2)
    assert states(campaign) == {"issued": 1, "confirmed": 1, "withdrawn": 2, "planned": 1}


@pytest.mark.parametrize("action", [AuditAction.IMPORT_FINISHED, AuditAction.IMPORT_STOPPED])
def test_after_an_import_all_are_looked_at(action):
    [meter] = meters(1)
    campaign = watched()
    Device.objects.filter(pk=meter.device.pk).update(status=DeviceStatus.RETIRED)
    assert observe(campaign, NOW) == Progress()
    record([event(action, now=NOW, actor=SYSTEM, object_name="fleet.csv")])
    assert observe(campaign, NOW) == Progress(withdrawn=1)


def test_what_is_changed_past_the_portal_is_found_by_the_sweep_which_says_so(caplog):
    first, second = meters(2)
    campaign = watched()
    Device.objects.filter(pk=first.device.pk).update(status=DeviceStatus.RETIRED)
    renewed(second)
    assert observe(campaign, NOW + SWEEP_EVERY - SECOND) == Progress(issued=1)
    assert observe(campaign, NOW + SWEEP_EVERY) == Progress(withdrawn=1, missed=1)
    assert "targets moved that the log did not tell of" in caplog.text
    assert observe(campaign, NOW + SWEEP_EVERY + SECOND) == Progress()


class Beside:
    """A renewal in a transaction of another session, which commits when it is told."""

    def __init__(self, meter: Enrolled) -> None:
        self._meter = meter
        self._written, self._may_commit = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._written.wait(_SECONDS)

    def _run(self) -> None:
        try:
            with transaction.atomic():
                renewed(self._meter)
                self._written.set()
                assert self._may_commit.wait(_SECONDS)
        finally:
            connection.close()

    def commit(self) -> None:
        self._may_commit.set()
        self._thread.join(_SECONDS)
        assert not self._thread.is_alive()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("looks", [1, 2, 5])
def test_what_was_written_before_and_committed_after_others_is_not_missed(looks):
    late, *others = meters(1 + looks)
    campaign = watched()
    slow = Beside(late)
    for other in others:
        renewed(other)
        assert observe(campaign, NOW) == Progress(issued=1)
    slow.commit()
    assert observe(campaign, NOW) == Progress(issued=1)
    for _ in range(3):
        assert observe(campaign, NOW) == Progress()
    assert states(campaign) == {TargetState.ISSUED: 1 + looks}


@pytest.mark.django_db(transaction=True)
def test_what_is_committed_between_the_first_looks_is_not_missed():
    [late] = meters(1)
    campaign = running_campaign()
    slow = Beside(late)
    for _ in range(3):
        assert observe(campaign, NOW) == Progress()
    slow.commit()
    assert observe(campaign, NOW) == Progress(issued=1)


@pytest.mark.django_db(transaction=True)
def test_the_mark_moves_on_when_those_who_wrote_have_ended():
    first, second = meters(2)
    campaign = watched()
    slow = Beside(first)
    observe(campaign, NOW)
    before = read_to(campaign)
    renewed(second)
    observe(campaign, NOW)
    assert read_to(campaign) == before
    slow.commit()
    for _ in range(2):
        observe(campaign, NOW)
    assert read_to(campaign) > before
    assert news.since(read_to(campaign), campaign.pk).targets == []
