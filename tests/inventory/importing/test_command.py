"""`manage.py import_inventory`: what it prints, how it ends, what it keeps."""

import json
import re

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError

from inventory import jobs
from inventory.importing import putting_off, running
from inventory.importing.databases import Database
from inventory.importing.products import DESCRIPTIONS, Product
from inventory.importing.sources import SourceRefused
from inventory.models import AuditEvent, ColumnMapping, Device, ImportRun, ImportState
from tests.factories import fleet
from tests.inventory.importing.foreign import begun, write_csv

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


@pytest.mark.django_db(transaction=True)
def test_indexes_put_off_by_a_first_load_are_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(putting_off, "LEAST_BYTES", 0)
    original = indexes()
    path = write_csv(tmp_path / "a.csv", [{"device_serial": "A1"}])
    run, opened = begun(path, fleet())
    during = []
    running.work(run, opened.source, workers=0, clock=_clock, tell=lambda _run: during.append(indexes()))
    run.refresh_from_db()

    gone = " ".join(original - during[0])
    assert "certificate_expiry" in gone and "FOREIGN KEY device_id" in gone and "certificate_serial_unique" not in gone
    assert indexes() == original and run.put_off == []


@pytest.mark.django_db(transaction=True)
def test_when_an_index_cannot_be_made_again_the_others_are_and_the_rest_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(putting_off, "LEAST_BYTES", 0)
    original = indexes()
    run, _opened = begun(write_csv(tmp_path / "a.csv", [{"device_serial": "A1"}]), fleet())
    run.total = 1
    putting_off.put_off(run)
    foreign_keys = {each for each in run.put_off if each.startswith("ALTER")}
    impossible = "CREATE INDEX impossible ON nowhere (nothing)"
    run.put_off = [impossible, *run.put_off]
    run.save()
    with pytest.raises(ProgrammingError):
        putting_off.make_up_for(run)
    run.refresh_from_db()
    assert set(run.put_off) == {impossible} | foreign_keys

    run.put_off.remove(impossible)
    run.save()
    jobs.sweep_imports()
    run.refresh_from_db()
    assert indexes() == original and run.put_off == []


def _clock():
    from tests.factories import NOW

    return NOW


def indexes() -> set[str]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexdef FROM pg_indexes WHERE tablename IN ('inventory_device', 'inventory_certificate')"
            " UNION SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid IN"
            " ('inventory_device'::regclass, 'inventory_certificate'::regclass)"
        )
        # Made again from its definition, an index says its casts otherwise.
        return {re.sub(r"::[a-z ]+(\[\])?|[()]", "", name) for (name,) in cursor.fetchall()}
