"""Writers, movers and folders at the same time, each on a connection of its own: the counters stay true."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import transaction

from inventory.audit.record import SYSTEM
from inventory.counters.checking import differences, repair
from inventory.counters.folding import fold, fold_all
from inventory.issuing.certificates import Admission, issue
from inventory.models import CertificateCount, CertificateDelta, Device, DevicePresence, RevocationReason, Site
from inventory.sightings import record_sighting
from revocation import orders
from tests import factories
from tests.factories import DAY, NOW
from tests.inventory.counters.planting import execute
from tests.parallel import at_once, beside, until_blocked

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def admission(device: Device, predecessor=None) -> Admission:
    request = factories.certification_request()
    return Admission(device, factories.profile(), factories.authority(), request, SYSTEM, predecessor)


def test_a_device_that_moves_while_it_is_given_a_certificate_takes_it_along(threads):
    device = factories.enrolled().device
    site = Site.objects.create(fleet=device.fleet, name="Penang")
    with transaction.atomic():
        issue(admission(device), NOW)
        moved = beside(threads, lambda: Device.objects.filter(pk=device.pk).update(site=site))
        until_blocked()
    assert moved.result() == 1
    assert differences() == []


def test_a_certificate_for_a_device_that_is_moving_counts_where_it_arrives(threads):
    device = factories.enrolled().device
    site = Site.objects.create(fleet=device.fleet, name="Penang")
    ready = admission(device)
    with transaction.atomic():
        Device.objects.filter(pk=device.pk).update(site=site)
        issued = beside(threads, lambda: issue(ready, NOW))
        until_blocked()
    issued.result()
    assert differences() == []
    fold_all()
    [count] = CertificateCount.objects.filter(axis="site", issued=1)
    assert count.group_id == site.pk


def test_a_confirmation_while_the_device_moves_is_counted_where_it_arrives(threads):
    found = factories.enrolled(used=False)
    site = Site.objects.create(fleet=found.device.fleet, name="Penang")
    with transaction.atomic():
        Device.objects.filter(pk=found.device.pk).update(site=site)
        seen = beside(threads, lambda: record_sighting(found.certificate, found.device, now=NOW, actor=SYSTEM))
        until_blocked()
    assert seen.result()
    assert differences() == []


def test_what_is_not_committed_waits_and_what_is_rolled_back_was_never_counted(threads):
    device = factories.enrolled().device
    fold_all()

    class Undo(Exception):
        pass

    with pytest.raises(Undo), transaction.atomic():
        issue(admission(device), NOW)
        assert beside(threads, fold).result() == 0
        raise Undo
    assert fold() == 0
    assert differences() == []


def test_a_sighting_does_not_wait_for_certificates_of_the_same_device(threads):
    device = factories.enrolled().device
    with transaction.atomic():
        issue(admission(device), NOW)
        seen = beside(threads, lambda: DevicePresence.objects.filter(device=device).update(last_seen_at=NOW + DAY))
        assert seen.result(timeout=60) == 1
    assert differences() == []


def test_a_device_seen_for_the_first_time_while_it_moves_is_counted_where_it_arrives(threads):
    device, pumps = factories.device(), factories.fleet("pumps")
    with transaction.atomic():
        Device.objects.filter(pk=device.pk).update(fleet=pumps)
        seen = beside(threads, lambda: DevicePresence.objects.filter(device=device).update(last_seen_at=NOW))
        until_blocked()
    assert seen.result() == 1
    assert differences() == []


def test_a_device_that_moves_while_it_is_seen_for_the_first_time_is_counted_where_it_arrives(threads):
    device, pumps = factories.device(), factories.fleet("pumps")
    with transaction.atomic():
        DevicePresence.objects.filter(device=device).update(last_seen_at=NOW)
        moved = beside(threads, lambda: Device.objects.filter(pk=device.pk).update(fleet=pumps))
        until_blocked()
    assert moved.result() == 1
    assert differences() == []


def test_a_sighting_does_not_wait_for_whoever_changes_the_device(threads):
    device = factories.device()
    factories.note_last_seen({device: NOW})
    with transaction.atomic():
        Device.objects.select_for_update().get(pk=device.pk)
        seen = beside(threads, lambda: DevicePresence.objects.filter(device=device).update(last_seen_at=NOW + DAY))
        assert seen.result(timeout=60) == 1


def test_of_two_folders_one_folds(threads):
    factories.enrolled()
    with transaction.atomic():
        assert fold() > 0
        assert beside(threads, fold).result() == 0
    assert differences() == []


def test_a_folder_that_dies_leaves_everything_as_it_was():
    factories.enrolled()
    before = CertificateDelta.objects.count()

    class Killed(Exception):
        pass

    with pytest.raises(Killed), transaction.atomic():
        fold()
        raise Killed
    assert CertificateDelta.objects.count() == before
    assert differences() == []


def test_repairing_while_others_write_takes_nothing_from_them(threads):
    device = factories.enrolled().device
    fold_all()
    execute("UPDATE inventory_certificatecount SET confirmed = 9 WHERE axis = 'fleet'")
    with transaction.atomic():
        issue(admission(device), NOW)
        beside(threads, repair).result()
    assert differences() == []


def test_everything_at_once_with_two_folders():
    fleet = factories.fleet()
    sites = [Site.objects.create(fleet=fleet, name=name) for name in ("Penang", "Johor")]
    enrolled = [factories.enrolled(used=False) for _ in range(8)]
    renewals = [admission(each.device, each.certificate) for each in enrolled for _ in range(2)]
    order = orders.Order(RevocationReason.KEY_COMPROMISE, SYSTEM)

    def move() -> None:
        for number, each in enumerate(enrolled * 6):
            with transaction.atomic():
                Device.objects.select_for_update().get(pk=each.device.pk)
                Device.objects.filter(pk=each.device.pk).update(site=sites[number // 8 % 2])

    at_once(
        [
            lambda: [issue(each, NOW) for each in renewals[::2]],
            lambda: [issue(each, NOW) for each in renewals[1::2]],
            lambda: [record_sighting(each.certificate, each.device, now=NOW, actor=SYSTEM) for each in enrolled],
            lambda: [orders.revoke(each.certificate, order, NOW) for each in enrolled[:3]],
            move,
            lambda: [fold(3) for _ in range(15)],
            lambda: [fold(3) for _ in range(15)],
        ]
    )
    assert differences() == []
    fold_all()
    assert differences() == []
