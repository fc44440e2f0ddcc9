"""Importing over the API: a file is handed over once, workers do the work, progress and rejects can be read."""

from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile

from inventory import jobs
from inventory.importing import uploads
from inventory.models import AuditAction, AuditEvent, ColumnMapping, Device, ImportRun, ImportState
from tests import factories

IMPORTS = "/api/v1/imports/"
pytestmark = pytest.mark.django_db


@pytest.fixture
def importer(client_for):
    factories.fleet()
    return client_for("imports:write", "column-mappings", permissions="", name="ops")


def upload(client, content: bytes, name: str = "meters.csv", headers=None, **said):
    body = {"file": SimpleUploadedFile(name, content), "fleet": "demo", **said}
    return client.post(IMPORTS, body, format="multipart", headers=headers)


def test_a_file_is_imported_by_a_worker_and_read_as_it_goes(importer):
    answer = upload(importer, b"device_serial,site\nU1,Penang\nbad one,Penang\n")
    assert answer.status_code == 201, answer.content
    address = answer.headers["Location"]
    waiting = importer.get(address).json()
    assert waiting == answer.json()
    assert (waiting["state"], waiting["progress"], waiting["name"], waiting["actor"]) == (
        "waiting", 0.0, "meters.csv", "ops: test",
    )  # fmt: skip
    jobs.work_on_import(waiting["id"])
    done = importer.get(address).json()
    assert (done["state"], done["progress"], done["dry_run"]) == ("finished", 1.0, False)
    assert (done["counts"]["records"], done["counts"]["devices_new"], done["counts"]["rejected"]) == (2, 1, 1)
    assert done["columns"] == {"device_serial": "device_serial", "site": "site"}
    assert [reject["line"] for reject in done["first_rejects"]] == [3]
    rejects = importer.get(f"{address}rejects/", headers={"Accept": "text/csv"})
    assert b"".join(rejects.streaming_content).startswith(b"line,reason,original\r\n3,")
    assert Device.objects.get().serial == "U1"
    assert [run["id"] for run in importer.get(f"{IMPORTS}?state=finished&fields=id").json()["results"]] == [done["id"]]


def test_a_dry_run_is_tried_and_then_done_in_earnest(importer):
    tried = upload(importer, b"device_serial\nU1\n", dry_run="true").json()
    jobs.work_on_import(tried["id"])
    assert not Device.objects.exists()
    assert importer.get(f"{IMPORTS}{tried['id']}/").json()["counts"]["devices_new"] == 1
    begun = importer.post(f"{IMPORTS}{tried['id']}/in-earnest/")
    assert begun.status_code == 201
    jobs.work_on_import(begun.json()["id"])
    assert Device.objects.get().serial == "U1"
    again = importer.post(f"{IMPORTS}{begun.json()['id']}/in-earnest/")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "import_refused")


def test_known_devices_are_corrected_when_asked(importer):
    device = factories.device("U1")
    for said, expected in [
        ({}, ""),
        ({"dry_run": "true", "update_known": "true"}, ""),
        ({"update_known": "true"}, "m-1"),
    ]:
        run = upload(importer, b"device_serial,mqtt_id\nU1,m-1\n", **said).json()
        jobs.work_on_import(run["id"])
        done = importer.get(f"{IMPORTS}{run['id']}/").json()
        assert (done["update_known"], done["counts"]["devices_updated"]) == ("update_known" in said,) * 2
        device.refresh_from_db()
        assert device.mqtt_id == expected


def test_a_tried_correction_corrects_in_earnest(importer):
    device = factories.device("U1")
    tried = upload(importer, b"device_serial,mqtt_id\nU1,m-1\n", dry_run="true", update_known="true").json()
    jobs.work_on_import(tried["id"])
    begun = importer.post(f"{IMPORTS}{tried['id']}/in-earnest/").json()
    assert begun["update_known"] is True
    jobs.work_on_import(begun["id"])
    device.refresh_from_db()
    assert device.mqtt_id == "m-1"


def test_a_saved_mapping_is_named(importer):
    saved = ColumnMapping.objects.create(name="Plant 2", columns={"Serial No": "device_serial"})
    assert importer.get("/api/v1/column-mappings/").json()["results"] == [
        {"id": saved.pk, "name": "Plant 2", "columns": {"Serial No": "device_serial"}, "link": "column",
         "encoding": "utf-8"}
    ]  # fmt: skip
    begun = upload(importer, b"Serial No\nU1\n", mapping="Plant 2")
    assert begun.json()["columns"] == {"Serial No": "device_serial"}
    assert upload(importer, b"Serial No\nU1\n", mapping="Plant 3").status_code == 400


@pytest.mark.parametrize(
    ("content", "said", "field"),
    [
        (b"colour\nred\n", {}, "file"),
        (b"", {}, "file"),
        (b"device_serial\nU1\n", {"fleet": "none"}, "fleet"),
        (b"device_serial\nU1\n", {"format": "xls"}, "format"),
        (b"device_serial\nU1\n", {"dry_run": "perhaps"}, "dry_run"),
        (b"device_serial\nU1\n", {"update_known": "perhaps"}, "update_known"),
        (b"device_serial\nU1\n", {"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_imported_is_refused_and_not_kept(importer, content, said, field):
    before = kept_files()
    answer = upload(importer, content, **said)
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, [field])
    assert not ImportRun.objects.exists()
    assert kept_files() == before


def kept_files() -> set[Path]:
    return set((Path(settings.HOME) / "imports" / "uploads").glob("*/*"))


def test_a_body_of_another_kind_or_size_is_refused(importer):
    assert importer.post(IMPORTS, {"file": "x"}, format="json").status_code == 415
    assert upload(importer, bytes(uploads.MAX_BYTES + (1 << 20))).status_code == 413
    assert upload(importer, b" " * (uploads.MAX_BYTES + 1)).json()["error"]["details"].keys() == {"file"}


def test_a_key_begins_one_import(importer):
    content = b"device_serial\n" + b"".join(b"U%d\n" % number for number in range(400_000))
    assert len(content) > 2_600_000
    first = upload(importer, content, headers={"Idempotency-Key": "k"})
    second = upload(importer, content, headers={"Idempotency-Key": "k"})
    assert (first.status_code, first.json()) == (201, second.json())
    assert second.headers["Location"] == first.headers["Location"]
    assert ImportRun.objects.count() == 1
    assert upload(importer, content + b"V\n", headers={"Idempotency-Key": "k"}).status_code == 422


def test_an_import_that_stopped_is_resumed(importer):
    run = ImportRun.objects.get(pk=upload(importer, b"device_serial\nU1\n").json()["id"])
    address = f"{IMPORTS}{run.pk}/resume/"
    assert importer.post(address).status_code == 409
    ImportRun.objects.update(state=ImportState.STOPPED, problem="The disk is full.")
    resumed = importer.post(address)
    assert (resumed.status_code, resumed.json()["state"], resumed.json()["problem"]) == (200, "waiting", "")
    assert AuditEvent.objects.filter(action=AuditAction.IMPORT_STARTED).latest("pk").details["resumed"] is True
    jobs.work_on_import(run.pk)
    assert Device.objects.get().serial == "U1"
    ImportRun.objects.update(state=ImportState.STOPPED, finished_at=None)
    assert not Path(run.source).exists()
    assert "upload it again" in importer.post(address).json()["error"]["message"]
    ImportRun.objects.update(source="/somewhere/else.csv")
    assert "manage.py import_inventory --resume" in importer.post(address).json()["error"]["message"]


def test_importing_needs_the_scope_and_the_permission(importer, client_for):
    run = upload(importer, b"device_serial\nU1\n").json()
    for number, (scopes, permissions) in enumerate([(["imports"], ""), (["imports:write"], "view_")]):
        client = client_for(*scopes, permissions=permissions, name=f"other-{number}")
        assert upload(client, b"device_serial\nU1\n").status_code == 403
        for act in ("resume", "in-earnest"):
            assert client.post(f"{IMPORTS}{run['id']}/{act}/").status_code == 403
        assert client.get(f"{IMPORTS}{run['id']}/").status_code == 200
