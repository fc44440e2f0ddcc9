"""Importing in the browser: a file is tried, its outcome looked at, then taken in earnest; workers do the work."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from inventory import jobs
from inventory.importing import uploads
from inventory.importing.rejects import path_of
from inventory.models import AuditAction, AuditEvent, ColumnMapping, Device, ImportRun, ImportState
from tests import factories
from tests.certportal.test_pages import HOSTILE, Inline
from tests.inventory.importing.foreign import ForeignAuthority, begun, imported, pem, write_csv

pytestmark = pytest.mark.django_db

BEGIN = "/admin/inventory/importrun/begin/"


def upload(client, content: bytes, name: str = "meters.csv", **values):
    fleet = factories.fleet()
    return client.post(BEGIN, {"file": SimpleUploadedFile(name, content), "fleet": fleet.pk, **values})


@pytest.fixture
def boss_client(client, boss):
    client.force_login(boss)
    return client


def test_a_file_is_tried_then_imported_by_workers(boss_client):
    answer = upload(boss_client, b"device_serial,site\nU1,Penang\nbad one,Penang\n")
    tried = ImportRun.objects.get()
    assert answer.url == reverse("admin:inventory_importrun_change", args=[tried.pk])
    assert (tried.dry_run, tried.state, tried.actor) == (True, ImportState.WAITING, "boss")

    jobs.work_on_import(tried.pk)
    page = boss_client.get(answer.url).content.decode()
    assert "A dry run: nothing is changed." in page and "bad one" in page
    assert "Import 1 new device, 0 new certificates" in page
    assert not Device.objects.filter(serial="U1").exists()

    answer = boss_client.post(reverse("admin:inventory_importrun_in_earnest", args=[tried.pk]))
    run = ImportRun.objects.latest("pk")
    jobs.work_on_import(run.pk)
    run.refresh_from_db()
    assert (run.state, run.devices_new, run.rejected) == (ImportState.FINISHED, 1, 1)
    assert Device.objects.get(serial="U1").site.name == "Penang"
    assert not Path(run.source).exists()
    done = AuditEvent.objects.filter(action=AuditAction.IMPORT_FINISHED).latest("pk")
    assert done.actor == "boss" and done.details["devices_new"] == 1
    assert boss_client.get(reverse("admin:inventory_importrun_progress", args=[run.pk])).status_code == 286


def test_a_lost_job_is_found_again_by_the_sweep(boss_client):
    upload(boss_client, b"device_serial\nU1\n")
    run = ImportRun.objects.get()
    assert uploads.left_alone() == [run]
    jobs.work_on_import(run.pk)
    assert uploads.left_alone() == []


def test_a_run_that_stands_still_says_so_and_how_to_go_on(boss_client, tmp_path):
    run, _opened = begun(write_csv(tmp_path / "a.csv", [{"device_serial": "A"}]), factories.fleet())
    page = reverse("admin:inventory_importrun_change", args=[run.pk])
    ImportRun.objects.filter(pk=run.pk).update(state=ImportState.RUNNING, worked_at=timezone.now())
    assert "stands still" not in boss_client.get(page).content.decode()
    ImportRun.objects.filter(pk=run.pk).update(worked_at=timezone.now() - timedelta(hours=1))
    shown = boss_client.get(page).content.decode()
    assert "stands still" in shown and f"import_inventory --resume {run.pk}" in shown


def test_a_file_that_went_away_stops_its_run(boss_client):
    upload(boss_client, b"device_serial\nU1\n")
    run = ImportRun.objects.get()
    Path(run.source).unlink()
    jobs.work_on_import(run.pk)
    run.refresh_from_db()
    assert run.state == ImportState.STOPPED and "No such file" in run.problem


def test_rejects_are_downloaded_as_a_file(boss_client, tmp_path):
    run = imported(write_csv(tmp_path / "a.csv", [{"device_serial": "=1+1"}]), factories.fleet())
    answer = boss_client.get(reverse("admin:inventory_importrun_rejects", args=[run.pk]))
    assert b"".join(answer.streaming_content) == path_of(run.pk).read_bytes()
    assert answer["Content-Disposition"] == f'attachment; filename="rejects-{run.pk}.csv"'


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("empty.csv", b"", "empty"),
        ("a.csv", b"name\nx\n", "none of them is mapped to device_serial"),
        ("a.gz", b"\x1f\x8b\x08", "is gzip; unpack it"),
        ("a.csv", "device_serial\n".encode("utf-16"), "is UTF-16"),
    ],
)
def test_what_cannot_be_read_is_refused_on_the_form(boss_client, name, content, text):
    page = upload(boss_client, content, name).content.decode()
    assert text in page and not ImportRun.objects.exists()


def test_a_large_file_is_for_the_command(boss_client, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_BYTES", 10)
    assert "Use manage.py import_inventory" in upload(boss_client, b"device_serial\nU1\n").content.decode()


def test_a_name_of_a_file_is_no_path(boss_client):
    upload(boss_client, b"device_serial\nU1\n", "../../../etc/cron.d/x.csv")
    run = ImportRun.objects.get()
    assert Path(run.source).name == "x.csv" and Path(run.source).parents[1].name == "uploads"


def test_who_may_only_look_begins_nothing(client, viewer, tmp_path):
    client.force_login(viewer)
    run = imported(write_csv(tmp_path / "a.csv", [{"device_serial": "bad one"}]), factories.fleet(), dry_run=True)
    assert client.get(BEGIN).status_code == 403
    assert client.post(reverse("admin:inventory_importrun_in_earnest", args=[run.pk])).status_code == 403
    page = client.get(reverse("admin:inventory_importrun_change", args=[run.pk])).content.decode()
    assert "in-earnest" not in page and "1 reject" in page


def test_hostile_cells_do_nothing_on_the_pages(boss_client, tmp_path):
    rows = [{"device_serial": HOSTILE, "site": HOSTILE}]
    run = imported(write_csv(tmp_path / "hostile.csv", rows), factories.fleet())
    for name, arguments in (("change", [run.pk]), ("changelist", []), ("begin", []), ("progress", [run.pk])):
        page = boss_client.get(reverse(f"admin:inventory_importrun_{name}", args=arguments)).content.decode()
        assert "<script>alert" not in page and Inline(page).found == []


def test_a_mapping_is_saved_once_and_used_by_name(boss_client):
    address = reverse("admin:inventory_columnmapping_add")
    values = {"name": "Plant 7", "link": "column", "encoding": "utf-8"}
    refused = boss_client.post(address, {**values, "columns": '{"Serial No": "serial"}'}).content.decode()
    assert "targets are" in refused and not ColumnMapping.objects.exists()
    boss_client.post(address, {**values, "columns": '{"Serial No": "device_serial"}'})
    saved = ColumnMapping.objects.get()

    upload(boss_client, b"Serial No,Other\nU9,x\n", mapping=saved.pk)

    run = ImportRun.objects.get()
    assert run.reading["mapping"] == [["Serial No", "device_serial"]]


def test_pages_show_external_authorities_and_what_they_signed(boss_client, tmp_path):
    old = ForeignAuthority()
    row = {"device_serial": "M-1", "certificate": pem(old.signs("CN=M-1"), old.certificate)}
    imported(write_csv(tmp_path / "a.csv", [row]), factories.fleet())
    device = Device.objects.get(serial="M-1")
    certificate = device.certificates.get()
    for address in (
        reverse("admin:inventory_authority_changelist"),
        reverse("admin:inventory_authority_change", args=[certificate.authority_id]),
        reverse("admin:inventory_certificate_change", args=[certificate.pk]),
        reverse("admin:inventory_device_change", args=[device.pk]),
        reverse("admin:inventory_certificate_changelist"),
        "/api/v1/authorities/",
        "/api/v1/certificates/",
    ):
        assert boss_client.get(address).status_code == 200, address
