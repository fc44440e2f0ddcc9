"""Devices that never had a certificate are found, and only they, whoever wrote the certificates and the devices."""

import pytest
from django.db import connection

from inventory.audit.record import SYSTEM
from inventory.issuing.certificates import Admission, issue_many
from inventory.models import Certificate, Device, UncertifiedDevice
from tests import factories
from tests.factories import DAY, NOW
from tests.inventory.counters.planting import execute, plant

pytestmark = pytest.mark.django_db


def without() -> list[str]:
    found = list(Device.objects.without_certificate().order_by("serial").values_list("serial", flat=True))
    # The long way says the same.
    assert found == list(Device.objects.filter(certificates=None).order_by("serial").values_list("serial", flat=True))
    assert not set(found) & set(Device.objects.with_certificate().values_list("serial", flat=True))
    return found


def test_a_device_is_without_one_until_its_first_is_issued_and_never_again():
    device = factories.device("A")
    factories.device("B")
    assert without() == ["A", "B"]
    certificate = factories.enrolled(device).certificate
    assert without() == ["B"]
    Certificate.objects.filter(pk=certificate.pk).update(
        state="revoked", revoked_at=NOW, revocation_reason="keyCompromise"
    )
    assert without() == ["B"]


def test_many_at_once_and_rows_of_sql_are_noted():
    devices = [factories.device(f"D{number}") for number in range(5)]
    asked = [
        Admission(
            device, factories.profile(), factories.authority(), factories.certification_request(factories.key()), SYSTEM
        )
        for device in devices[1:]
    ]
    certificates = issue_many(asked, NOW)
    assert without() == ["D0"]
    plant(certificates[0], 3, not_after=NOW + DAY)
    assert without() == ["D0"]


def test_a_certificate_of_no_device_concerns_none():
    factories.device("A")
    factories.authority()
    assert without() == ["A"]


def test_a_device_that_is_deleted_is_missed_by_nobody():
    devices = [factories.device(f"D{number}") for number in range(4)]
    execute("DELETE FROM inventory_device WHERE id = ANY(%s)", [device.pk for device in devices[:2]])
    devices[2].delete()
    assert without() == ["D3"]
    execute("SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE inventory_device CASCADE")
    assert not UncertifiedDevice.objects.exists()


def test_no_certificate_writes_its_device():
    device = factories.device("A")
    [before] = versions()
    first = factories.enrolled(device).certificate
    assert versions() == [before]
    issue_many(
        [
            Admission(
                device, factories.profile(), factories.authority(), factories.certification_request(), SYSTEM, first
            )
        ],
        NOW,
    )
    assert versions() == [before]


def versions() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT ctid::text FROM inventory_device")
        return [version for (version,) in cursor.fetchall()]


def test_they_are_found_without_a_look_at_the_others():
    factories.device("A")
    for number in range(3):
        factories.enrolled(factories.device(f"B{number}"))
    execute("ANALYZE inventory_device")
    execute("SET LOCAL enable_seqscan = off")
    plan = Device.objects.without_certificate().order_by("id").explain()
    assert "inventory_uncertifieddevice" in plan
    assert "Seq Scan" not in plan
