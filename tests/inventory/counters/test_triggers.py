"""Whatever changes certificates or devices, the counters say the same as GROUP BY, folded or not."""

from typing import NamedTuple

import pytest
from django.db import IntegrityError, connection, transaction

from inventory.audit.record import SYSTEM
from inventory.counters.checking import differences, repair
from inventory.counters.folding import fold, fold_all
from inventory.issuing.certificates import Admission, issue, issue_many
from inventory.models import (
    Batch,
    Certificate,
    CertificateCount,
    CertificateDelta,
    Device,
    DeviceCount,
    DeviceDelta,
    DevicePresence,
    RevocationReason,
    Site,
)
from inventory.sightings import record_sighting
from revocation import orders
from tests import factories
from tests.factories import DAY, NOW
from tests.inventory.counters.planting import execute, plant


@pytest.fixture
def agrees(db):
    """Check the counters before and after folding."""

    def check() -> None:
        assert differences() == []
        fold_all()
        assert differences() == []
        assert not CertificateDelta.objects.exists()
        assert not DeviceDelta.objects.exists()

    return check


def test_issuing_confirming_and_superseding_are_counted(agrees):
    device = factories.device()
    first = factories.enrolled(device).certificate
    admission = Admission(
        device, factories.profile(), factories.authority(), factories.certification_request(), SYSTEM, first
    )
    renewed = issue(admission, NOW)
    assert CertificateDelta.objects.filter(state="unconfirmed").count() == 1
    agrees()
    record_sighting(renewed, device, now=NOW + DAY, actor=SYSTEM)
    agrees()
    assert set(Certificate.objects.of_devices().values_list("state", flat=True)) == {"superseded", "confirmed"}


def test_many_at_once_are_one_delta_a_cell(agrees):
    devices = [factories.device() for _ in range(20)]
    issue_many(
        [
            Admission(device, factories.profile(), factories.authority(), factories.certification_request(), SYSTEM)
            for device in devices
        ],
        NOW,
    )
    assert [delta.number for delta in CertificateDelta.objects.all()] == [20]
    agrees()


def test_a_bulk_revocation_is_counted(agrees):
    for _ in range(5):
        factories.enrolled()
    order = orders.Order(RevocationReason.KEY_COMPROMISE, SYSTEM)
    orders.revoke_many(Certificate.objects.of_devices(), order, NOW, batch_size=2)
    agrees()
    assert CertificateCount.objects.get(axis="fleet", revoked__gt=0).revoked == 5


def test_a_device_that_moves_takes_its_certificates_along(agrees):
    fleet, other = factories.fleet(), factories.fleet("pumps")
    site = Site.objects.create(fleet=fleet, name="Penang")
    batch = Batch.objects.create(fleet=other, name="B7")
    devices = [factories.enrolled().device for _ in range(3)]
    agrees()
    Device.objects.filter(pk=devices[0].pk).update(site=site)
    agrees()
    Device.objects.filter(pk__in=[device.pk for device in devices]).update(fleet=other, batch=batch, site=None)
    agrees()
    assert CertificateCount.objects.get(axis="batch", group_id=batch.pk).confirmed == 3


def test_rows_by_copy_and_by_select_are_counted(agrees):
    certificate = factories.enrolled().certificate
    plant(certificate, 50, not_after=NOW + 40 * DAY)
    agrees()
    fleet_id = certificate.device.fleet_id
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY inventory_device (fleet_id, serial, mqtt_id, phone_number, connectivity, status, registered_at)"
            " FROM STDIN"
        ) as copy,
    ):
        for number in range(10):
            copy.write_row((fleet_id, f"C{number}", "", "", "daily", "in_service", NOW))
    agrees()


def test_deleted_and_emptied_tables_are_counted(agrees):
    plant(factories.enrolled().certificate, 2, not_after=NOW + 40 * DAY)
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute("DELETE FROM inventory_certificate WHERE id = (SELECT max(id) FROM inventory_certificate)")
    agrees()
    execute("DELETE FROM inventory_device WHERE id = (SELECT max(id) FROM inventory_device)")
    agrees()
    execute("TRUNCATE inventory_certificate, inventory_device CASCADE")
    agrees()
    assert not CertificateCount.objects.exists()


def test_a_certificate_of_no_device_is_refused(db):
    certificate = factories.enrolled().certificate
    with pytest.raises(IntegrityError), transaction.atomic():
        execute("UPDATE inventory_certificate SET device_id = 0 WHERE id = %s", certificate.pk)


def test_a_date_beyond_every_calendar_is_a_day_like_others(agrees):
    certificate = factories.enrolled().certificate
    Certificate.objects.filter(pk=certificate.pk).update(not_after="9999-12-31T23:59:59Z")
    agrees()


def test_first_sightings_are_counted_once(agrees):
    device = factories.device()
    agrees()
    for hours in (1, 2):
        factories.note_last_seen({device: NOW + hours * DAY / 24})
        agrees()
    assert not DeviceDelta.objects.exists()


def test_a_device_that_moves_to_another_fleet_is_counted_there_as_seen_or_never_seen(agrees):
    pumps = factories.fleet("pumps")
    devices = [factories.device() for _ in range(3)]
    factories.note_last_seen({devices[0]: NOW})
    Device.objects.filter(pk__in=[device.pk for device in devices[:2]]).update(fleet=pumps)
    agrees()
    arrived = DeviceCount.objects.get(fleet_id=pumps.pk)
    assert (arrived.number, arrived.never_seen) == (2, 1)


def test_a_device_that_is_deleted_takes_its_presence_along(agrees):
    devices = [factories.device() for _ in range(3)]
    factories.note_last_seen({devices[0]: NOW})
    execute("DELETE FROM inventory_device WHERE id = ANY(%s)", [device.pk for device in devices[:2]])
    agrees()
    devices[2].delete()
    agrees()
    assert not DevicePresence.objects.exists()


def test_a_wrong_counter_is_named_and_put_right(agrees):
    factories.enrolled()
    agrees()
    CertificateCount.objects.filter(axis="site").update(confirmed=7)
    execute("UPDATE inventory_devicecount SET never_seen = 4")
    site, unseen = differences()
    assert (site.counted, site.there) == (7, 1)
    assert "confirmed certificates of site none" in str(site)
    assert (unseen.counted, unseen.there) == (4, 0)
    repair()
    agrees()


def test_a_fold_takes_no_more_than_its_batch(db):
    for _ in range(3):
        factories.enrolled(used=False)
    while fold(1):
        assert differences() == []
    assert not CertificateDelta.objects.exists()


def test_a_plan_made_for_one_row_is_as_good_for_many(agrees):
    """PostgreSQL keeps the plan of a trigger's first call: it must be one that finds each device by its key."""
    execute("TRUNCATE inventory_device CASCADE")
    certificate = factories.enrolled().certificate
    # A table of one page is best read whole, and now the planner knows that it is one.
    execute("ANALYZE inventory_device")
    factories.enrolled()
    before = _reads_of_devices()
    plant(certificate, 2_000, not_after=NOW + 40 * DAY)
    after = _reads_of_devices()
    assert after.by_index - before.by_index >= 2_000
    assert after.whole - before.whole < 10_000
    # As autovacuum would within a minute: comparing has no plan to keep, and needs one for so many rows.
    execute("ANALYZE inventory_device, inventory_certificate")
    agrees()


@pytest.mark.django_db(transaction=True)
def test_devices_that_vacuum_did_not_see_are_found_by_their_keys():
    """Vacuum may come while the first load is under way: from then on PostgreSQL plans as for a table without a row."""
    before = _scans_of_other_indexes()
    with transaction.atomic():
        plant(factories.enrolled().certificate, 3_000, not_after=NOW + 40 * DAY)
        other = connection.copy()
        try:
            with other.cursor() as cursor:
                cursor.execute("VACUUM inventory_device, inventory_certificate")
        finally:
            other.close()
        execute("UPDATE inventory_certificate SET state = 'superseded', successor_id = id WHERE purpose = 'device'")
    # To note its first certificate each is looked for in one pass, for which any index will do. Counting would look for
    # each two more times, and in all of an index each time.
    assert _scans_of_other_indexes() - before < 5 * 3_000


def _scans_of_other_indexes() -> int:
    """Return how often devices were looked for by another index than that of their keys, in transactions so far."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT sum(idx_scan) FROM pg_stat_user_indexes"
            " WHERE relname = 'inventory_device' AND indexrelname <> 'inventory_device_pkey'"
        )
        [(scans,)] = cursor.fetchall()
    return int(scans)


class _Reads(NamedTuple):
    """How many rows this transaction read while it went through a table, and how often it looked into an index."""

    whole: int
    by_index: int


def _reads_of_devices() -> _Reads:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_tup_read, idx_scan FROM pg_stat_xact_user_tables WHERE relid = 'inventory_device'::regclass"
        )
        return _Reads(*cursor.fetchone())
