"""A corrected manifest: known devices become what it says, when that was asked for, and lose nothing by it."""

import pytest

from inventory.counters.checking import differences
from inventory.importing.loading.merge import REASONS
from inventory.models import AuditAction, AuditEvent, Certificate, Device
from tests.factories import fleet
from tests.inventory.importing.foreign import ForeignAuthority, counts, imported, pem, write_csv
from tests.inventory.importing.test_manifests import rejects

pytestmark = pytest.mark.django_db

FIRST = {
    "device_serial": "M1", "site": "Penang", "batch": "B1", "latitude": "5.1", "longitude": "100.1", "mqtt_id": "m:1",
    "phone_number": "+60123456789", "connectivity": "always_on",
}  # fmt: skip


@pytest.fixture
def import_rows(tmp_path):
    def act(*rows, **how):
        return imported(write_csv(tmp_path / "fleet.csv", list(rows)), fleet(), **how)

    return act


def of_device(serial: str) -> tuple[object, ...]:
    columns = (
        *("site__name", "batch__name", "latitude", "longitude", "mqtt_id", "phone_number", "connectivity"),
        *("status", "presence__last_seen_at"),
    )
    return Device.objects.values_list(*columns).get(serial=serial)


def test_without_being_asked_an_import_corrects_nothing(import_rows):
    import_rows(FIRST)
    before = of_device("M1")
    assert counts(import_rows({**FIRST, "site": "Ipoh", "mqtt_id": "m:2"})) == {"records": 1, "devices_known": 1}
    assert of_device("M1") == before


def test_a_known_device_becomes_what_the_file_says(import_rows):
    import_rows(FIRST)
    corrected = {
        "device_serial": "M1", "site": "Ipoh", "batch": "B2", "latitude": "6.25", "longitude": "101", "mqtt_id": "m:9",
        "phone_number": "+60987654321", "connectivity": "daily",
    }  # fmt: skip
    run = import_rows(corrected, {**FIRST, "device_serial": "M2", "mqtt_id": "m:2"}, update_known=True)
    assert counts(run) == {"records": 2, "devices_new": 1, "devices_known": 1, "devices_updated": 1}
    expected = ("Ipoh", "B2", 6.25, 101, "m:9", "+60987654321", "daily", "in_service", None)
    assert of_device("M1") == expected
    done = AuditEvent.objects.filter(action=AuditAction.IMPORT_FINISHED).latest("pk")
    assert done.details["devices_updated"] == 1


def test_an_empty_or_missing_column_wipes_nothing(import_rows):
    import_rows(FIRST)
    before = of_device("M1")
    assert import_rows(dict.fromkeys(FIRST, "") | {"device_serial": "M1"}, update_known=True).devices_updated == 0
    assert import_rows({"device_serial": "M1"}, update_known=True).devices_updated == 0
    assert of_device("M1") == before


def test_status_and_last_seen_are_not_for_a_file_to_correct(import_rows):
    import_rows(FIRST)
    before = of_device("M1")
    run = import_rows({"device_serial": "M1", "status": "retired", "last_seen": "2027-01-01"}, update_known=True)
    assert run.devices_updated == 0 and of_device("M1") == before


def test_new_devices_beside_known_ones_are_last_seen_when_the_file_says(import_rows):
    import_rows({"device_serial": "M1", "last_seen": "2027-01-02"}, {"device_serial": "M2"})
    rows = [{"device_serial": f"M{number}", "last_seen": f"2027-01-1{number}"} for number in range(1, 5)]
    import_rows(*rows, {"device_serial": "M5"}, update_known=True)
    seen = dict(Device.objects.values_list("serial", "presence__last_seen_at"))
    days = {serial: at and at.date().isoformat() for serial, at in seen.items()}
    assert days == {"M1": "2027-01-02", "M2": None, "M3": "2027-01-13", "M4": "2027-01-14", "M5": None}
    assert differences() == []


def test_the_same_correction_again_changes_nothing(import_rows):
    import_rows(FIRST)
    again = {**FIRST, "latitude": "5.1234567"}
    assert import_rows(again, update_known=True).devices_updated == 1
    assert import_rows(again, update_known=True).devices_updated == 0


def test_a_dry_run_tells_how_many_would_be_corrected(import_rows):
    import_rows(FIRST, {**FIRST, "device_serial": "M2", "mqtt_id": "m:2"})
    rows = [
        {**FIRST, "site": "Ipoh"},
        {**FIRST, "device_serial": "M2", "mqtt_id": "m:1"},
        {**FIRST, "device_serial": "M3", "mqtt_id": "m:3"},
    ]
    tried = import_rows(*rows, update_known=True, dry_run=True)
    run = import_rows(*rows, update_known=True)
    assert counts(tried) == counts(run)
    assert (run.devices_new, run.devices_updated, run.rejected) == (1, 1, 1)


def test_the_mqtt_id_of_another_device_is_a_reject_with_all_that_its_row_says(import_rows):
    old = ForeignAuthority()
    import_rows(FIRST, {**FIRST, "device_serial": "M2", "mqtt_id": "m:2"})
    row = {"device_serial": "M2", "site": "Ipoh", "mqtt_id": "m:1", "certificate": pem(old.signs("CN=M2"))}
    run = import_rows(row, update_known=True)
    assert [each["reason"] for each in rejects(run)] == [REASONS["mqtt_id_taken"]]
    assert of_device("M2")[0] == "Penang" and not Certificate.objects.filter(device__serial="M2").exists()


def test_of_two_devices_that_are_given_one_mqtt_id_the_first_has_it(import_rows):
    import_rows(*({**FIRST, "device_serial": serial, "mqtt_id": ""} for serial in ("M1", "M2")))
    rows = [{"device_serial": serial, "mqtt_id": "m:7"} for serial in ("M1", "M2")]
    run = import_rows(*rows, update_known=True)
    assert (run.devices_updated, run.rejected) == (1, 1)
    assert [of_device(serial)[4] for serial in ("M1", "M2")] == ["m:7", ""]


def test_counters_follow_a_device_to_its_new_site(import_rows):
    import_rows({**FIRST, "certificate": pem(ForeignAuthority().signs("CN=M1"))})
    import_rows({**FIRST, "site": "Ipoh"}, update_known=True)
    assert differences() == []
