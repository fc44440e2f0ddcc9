"""When devices were last seen stands in a table of its own, which a sighting changes without a look at any device."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction

from inventory.audit.record import SYSTEM
from inventory.models import Device, DevicePresence
from inventory.models.presence import slot_of
from inventory.sightings import Sighting, record_sighting, record_sightings
from inventory.sightings.identifiers import DeviceSerial
from tests import factories
from tests.factories import DAY, NOW
from tests.inventory.counters.planting import execute
from tests.parallel import at_once, beside, until_blocked

MINUTE = timedelta(minutes=1)


def report(devices, at) -> None:
    record_sightings([Sighting(at, DeviceSerial("demo", each.serial)) for each in devices], at, SYSTEM)


def updates(table: str) -> tuple[int, int]:
    """Return how many rows of a table this transaction updated, and how many of them without a look at its indexes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relid = %s::regclass", [table]
        )
        return cursor.fetchone()


@pytest.fixture
def devices(db):
    factories.fleet("demo")
    return [factories.device() for _ in range(20)]


def test_a_sighting_writes_no_device_and_in_the_same_five_minutes_no_index(devices):
    of_devices = updates("inventory_device")
    all_before, in_place_before = updates("inventory_devicepresence")
    report(devices, NOW)
    report(devices, NOW + 4 * MINUTE)
    meter = factories.enrolled(devices[0])
    record_sighting(meter.certificate, devices[0], now=NOW + 4.5 * MINUTE, actor=SYSTEM)
    assert {each.last_seen_at for each in Device.objects.all()} == {NOW + 4 * MINUTE, NOW + 4.5 * MINUTE}
    all_after, in_place_after = updates("inventory_devicepresence")
    assert (all_after - all_before, in_place_after - in_place_before) == (41, 21)
    assert updates("inventory_device") == of_devices


def test_an_older_sighting_writes_nothing(devices):
    report(devices, NOW)
    before = updates("inventory_devicepresence")
    report(devices, NOW - DAY)
    report(devices, NOW)
    assert updates("inventory_devicepresence") == before
    assert set(DevicePresence.objects.values_list("last_seen_at", flat=True)) == {NOW}


@pytest.mark.parametrize("time_zone", ["UTC", "Asia/Kathmandu"])
@pytest.mark.parametrize("time", ["11:59:59.999999", "12:00:00", "12:04:59.999999"])
def test_the_slot_is_that_of_utc_whatever_the_session(devices, time_zone, time):
    execute("SET LOCAL TIME ZONE %s", time_zone)
    execute("UPDATE inventory_devicepresence SET last_seen_at = %s", f"2027-03-01T{time}Z")
    execute("SET LOCAL TIME ZONE 'UTC'")
    [found] = set(DevicePresence.objects.values_list("last_seen_slot", flat=True))
    assert found == slot_of(datetime.fromisoformat(f"2027-03-01T{time}+00:00"))
    assert (found.minute % 5, found.second, found.microsecond) == (0, 0, 0)


def test_every_device_has_one_presence_however_it_came_and_went(devices):
    Device.objects.bulk_create(Device(fleet=factories.fleet(), serial=f"B{n}", registered_at=NOW) for n in range(5))
    assert DevicePresence.objects.filter(last_seen_at=None).count() == Device.objects.count() == 25
    Device.objects.filter(serial__startswith="B").delete()
    execute("DELETE FROM inventory_device WHERE id = %s", devices[0].pk)
    assert set(DevicePresence.objects.values_list("device", flat=True)) == {each.pk for each in devices[1:]}


def test_questions_about_last_seen_are_exact_within_a_slot(devices):
    moments = [NOW - 6 * MINUTE, NOW - MINUTE, NOW, NOW + MINUTE, NOW + 6 * MINUTE]
    factories.note_last_seen(dict(zip(devices, moments, strict=False)))
    for moment in [*moments, NOW + timedelta(seconds=30), NOW.replace(year=1), NOW.replace(year=9999)]:
        since = {each for each, at in zip(devices, moments, strict=False) if at >= moment}
        assert set(Device.objects.seen_since(moment)) == since
        assert set(Device.objects.silent_since(moment)) == set(devices[: len(moments)]) - since
    assert set(Device.objects.never_seen()) == set(devices[len(moments) :])
    assert set(Device.objects.ever_seen()) == set(devices[: len(moments)])


def wakes(device: Device) -> list[float]:
    """Return the hours from NOW of the wakes that are kept of a device, the newest first."""
    kept = DevicePresence.objects.get(device=device).wakes or []
    return [(minute - NOW.timestamp() / 60) / 60 for minute in kept]


def test_a_wake_is_a_sighting_after_an_hour_of_silence(devices):
    for minutes in (0, 59, 118, 178, 200, 1440):
        report(devices[:1], NOW + minutes * MINUTE)
    assert wakes(devices[0]) == [24, 178 / 60, 0]
    assert wakes(devices[1]) == []


def test_the_last_eight_wakes_are_kept(devices):
    for day in range(11):
        report(devices, NOW + day * DAY)
    assert wakes(devices[0]) == [24 * day for day in range(10, 2, -1)]


def test_what_comes_late_or_again_is_no_wake(devices):
    moments = [NOW + day * DAY for day in (0, 2, 1, 2, 3, 0, 3)]
    for at in moments:
        report(devices, at)
    assert wakes(devices[0]) == [72, 48, 0]


def test_of_a_batch_in_any_order_the_newest_sighting_counts(devices):
    told = [NOW + 2 * DAY, NOW, NOW + 5 * DAY, NOW + DAY]
    record_sightings([Sighting(at, DeviceSerial("demo", devices[0].serial)) for at in told], NOW + 5 * DAY, SYSTEM)
    assert wakes(devices[0]) == [120]


def test_a_device_that_authenticates_here_is_awake(devices):
    meter = factories.enrolled(devices[0])
    record_sighting(meter.certificate, devices[0], now=NOW, actor=SYSTEM)
    record_sighting(meter.certificate, devices[0], now=NOW + DAY, actor=SYSTEM)
    assert wakes(devices[0])[:2] == [24, 0]


@pytest.mark.django_db(transaction=True)
def test_a_sighting_waits_for_no_lock_of_a_device_that_was_seen_before():
    factories.fleet("demo")
    device = factories.device()
    report([device], NOW)
    with ThreadPoolExecutor(1) as threads, transaction.atomic():
        Device.objects.select_for_update().get(pk=device.pk)
        beside(threads, lambda: report([device], NOW + MINUTE)).result(timeout=60)
    assert DevicePresence.objects.get().last_seen_at == NOW + MINUTE


@pytest.mark.django_db(transaction=True)
def test_the_newest_of_two_batches_at_once_stays():
    factories.fleet("demo")
    device = factories.device()
    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            report([device], NOW + MINUTE)
            older = beside(threads, lambda: report([device], NOW))
            until_blocked()
        older.result(timeout=60)
    assert DevicePresence.objects.get().last_seen_at == NOW + MINUTE


@pytest.mark.django_db(transaction=True)
def test_batches_of_the_same_devices_in_different_orders_end_without_a_deadlock():
    factories.fleet("demo")
    devices = [factories.device() for _ in range(60)]

    def tell(order, offset):
        for round_ in range(6):
            report(order, NOW + (offset + round_) * MINUTE)

    at_once([lambda: tell(devices, 0), lambda: tell(devices[::-1], 1), lambda: tell(devices[::2] + devices[1::2], 2)])
    assert set(DevicePresence.objects.values_list("last_seen_at", flat=True)) == {NOW + 7 * MINUTE}
