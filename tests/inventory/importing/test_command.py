"""`manage.py import_inventory`: what it prints, how it ends, what it keeps."""

import json

import pytest
from django.core.management import CommandError, call_command

from inventory.formats.imports import Product
from inventory.importing.sources.files import SourceRefused
from inventory.importing.sources.postgres import Database
from inventory.importing.sources.products import DESCRIPTIONS
from inventory.models import AuditEvent, ColumnMapping, Device, ImportRun, ImportState
from tests.factories import fleet
from tests.inventory.importing.foreign import write_csv

pytestmark = pytest.mark.django_db


def test_it_prints_counts_first_rejects_and_that_nothing_changed(tmp_path, capsys):
    path = write_csv(tmp_path / "a.csv", [{"Serial": "A1"}, {"Serial": "bad one"}])
    words = [str(path), "--fleet", fleet().slug, "--map", "Serial=device_serial", "--save-mapping", "plant"]

    call_command("import_inventory", *words)
    first = capsys.readouterr().out
    call_command("import_inventory", str(path), "--fleet", "demo", "--mapping", "plant")
    second = capsys.readouterr().out

    assert "devices new: 1" in first and "line 3: 'bad one' is no device serial" in first
    assert "Nothing changed: the inventory held all of it." in second
    assert ColumnMapping.objects.get().columns == {"Serial": "device_serial"}


def test_it_prints_one_object_as_json(tmp_path, capsys):
    path = write_csv(tmp_path / "a.csv", [{"device_serial": "A1"}])
    call_command("import_inventory", str(path), "--fleet", fleet().slug, "--json", "--dry-run")
    told = json.loads(capsys.readouterr().out)
    assert (told["dry_run"], told["devices_new"], told["state"]) == (True, 1, "finished")
    assert not Device.objects.filter(serial="A1").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "Name a file"),
        (["/nowhere.csv"], "No such file"),
        (["FILE", "--fleet", "nowhere"], "There is no fleet nowhere"),
        (["FILE", "--mapping", "none"], "no column mapping none"),
        (["--resume", "99999"], "There is no import 99999"),
        (["postgres://u:secret@127.0.0.1:1/x"], "Say with --from"),
        (["postgres://u:secret@127.0.0.1:1/x", "--from", "aws-iot"], "read from files"),
    ],
)
def test_wrong_use_is_exit_2_and_leaves_no_run(tmp_path, words, text):
    path = write_csv(tmp_path / "a.csv", [{"device_serial": "A1"}])
    with pytest.raises(CommandError, match=text) as refused:
        call_command("import_inventory", *[str(path) if word == "FILE" else word for word in words])
    assert refused.value.returncode == 2 and not ImportRun.objects.exists()


def test_a_database_that_cannot_be_reached_stops_the_run_without_its_password():
    fleet()
    with pytest.raises(CommandError, match=r"Stopped: The database 127\.0\.0\.1/x cannot be read") as stopped:
        call_command("import_inventory", "postgres://u:secret@127.0.0.1:1/x", "--from", "lemur", "--fleet", "demo")
    run = ImportRun.objects.get()
    assert run.state == ImportState.STOPPED and run.source == "127.0.0.1/x"
    everything = f"{stopped.value} {run.problem} {list(AuditEvent.objects.values_list('details', 'object_name'))}"
    assert "secret" not in everything
    with pytest.raises(SourceRefused):
        Database("postgres://[", DESCRIPTIONS[Product.LEMUR].queries)
