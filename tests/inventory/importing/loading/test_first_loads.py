"""First loads: unique indexes are put off, and yet every row comes to what it would come to with them."""

import csv
import re
import subprocess
import sys

import pytest
from django.db import ProgrammingError, connection
from django.db.models import Q, QuerySet
from hypothesis import given
from hypothesis import strategies as st

from inventory import jobs
from inventory.formats.imports import Format
from inventory.importing import runs
from inventory.importing.loading import deferred_indexes, seen_certificates
from inventory.importing.loading.seen_certificates import Novelty
from inventory.importing.rejects import path_of
from inventory.importing.sources.files import TextFile
from inventory.models import Authority, Certificate, Device, ImportRun, ImportState
from tests.factories import NOW, enrolled, fleet
from tests.inventory.importing.foreign import ForeignAuthority, begun, counts, pem, write_csv

_BLOCK = 2000
_HEADER = "device_serial,certificate\n"
_UNIQUE = {"certificate_serial_unique_for_issuer", "certificate_fingerprint_unique"}

authority = ForeignAuthority()
_OTHER = ForeignAuthority("CN=Another CA")
_SHARED = authority.signs("CN=shared")
_TWICE = 0x7777


def plain(number: int) -> dict[str, object]:
    return {"device_serial": f"P{number}", "certificate": pem(authority.signs(f"CN=P{number}"))}


def of(serial: str, *certificates) -> dict[str, object]:
    return {"device_serial": serial, "certificate": pem(*certificates)}


# Some rows between, so that what belongs together stands in other blocks.
_BETWEEN = [plain(number) for number in range(12)]
MANIFESTS = {
    "all new": _BETWEEN,
    "one certificate twice": [of("A", _SHARED), *_BETWEEN, of("A", _SHARED), plain(20)],
    "one certificate of two devices": [of("A", _SHARED), *_BETWEEN, of("B", _SHARED), plain(20)],
    "one serial number twice in the first block": [
        of("A", authority.signs("CN=A", serial=_TWICE)), of("B", authority.signs("CN=B", serial=_TWICE)), *_BETWEEN,
    ],
    "one serial number twice": [
        of("A", authority.signs("CN=A", serial=_TWICE)), *_BETWEEN, of("B", authority.signs("CN=B", serial=_TWICE)),
        plain(20),
    ],
    "one serial number of two issuers": [
        of("A", authority.signs("CN=A", serial=_TWICE)), *_BETWEEN, of("B", _OTHER.signs("CN=B", serial=_TWICE)),
    ],
    "a second certificate of a device": [
        of("A", authority.signs("CN=A")), *_BETWEEN, of("A", authority.signs("CN=A")), plain(20),
    ],
    "another issuer's for a known device": [
        of("A", authority.signs("CN=A")), *_BETWEEN, of("A", _OTHER.signs("CN=A")), plain(20),
    ],
    "an issuer's certificate in each row": [
        of(f"C{number}", authority.signs(f"CN=C{number}"), authority.certificate) for number in range(8)
    ],
    "unreadable rows": [*_BETWEEN[:3], {"device_serial": "A", "certificate": "no certificate"}, *_BETWEEN[3:]],
}  # fmt: skip


def work(run: ImportRun, path, tell=lambda _run: None) -> ImportRun:
    source = TextFile(path, Format.CSV, offset=len(_HEADER), line=2, block=_BLOCK)
    return runs.work(run, source, workers=0, clock=lambda: NOW, tell=tell)


def foreign_certificates() -> QuerySet[Certificate]:
    return Certificate.objects.filter(authority__external_identity__isnull=False)


def outcome(run: ImportRun) -> tuple[dict[str, int], *tuple[object, ...]]:
    """Return all that an import has left: counts, rejects, and what is in the inventory."""
    with path_of(run.pk).open(newline="") as stream:
        rejects = [(row["line"], row["reason"]) for row in csv.DictReader(stream)]
    held = foreign_certificates().values_list("device__serial", "serial", "authority__name", "purpose")
    devices = Device.objects.values_list("serial", Q(uncertified__isnull=True))
    linked = Authority.objects.external().filter(certificate__isnull=False).count()
    return counts(run), rejects, sorted(held, key=str), sorted(devices), linked


def indexes() -> set[str]:
    """Return the indexes and constraints of devices and certificates."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexdef FROM pg_indexes WHERE tablename IN ('inventory_device', 'inventory_certificate')"
            " UNION SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid IN"
            " ('inventory_device'::regclass, 'inventory_certificate'::regclass)"
        )
        # Made again from its definition, an index says its casts otherwise.
        return {re.sub(r"::[a-z ]+(\[\])?|[()]", "", name) for (name,) in cursor.fetchall()}


def unique_constraints() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'inventory_certificate'::regclass AND contype = 'u'"
        )
        return {name for (name,) in cursor.fetchall()}


@pytest.mark.django_db(transaction=True)
def test_indexes_put_off_by_a_first_load_are_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(deferred_indexes, "LEAST_BYTES", 0)
    original = indexes()
    path = write_csv(tmp_path / "load.csv", _BETWEEN[:1])
    run, _opened = begun(path, fleet())
    during = []
    run = work(run, path, tell=lambda _run: during.append(indexes()))

    gone = " ".join(original - during[0])
    assert all(each in gone for each in ("certificate_expiry", "FOREIGN KEY predecessor_id", *_UNIQUE))
    assert "device_serial_unique" not in gone
    assert indexes() == original and run.put_off == []


@pytest.mark.django_db(transaction=True)
def test_when_an_index_cannot_be_made_again_the_others_are_and_the_rest_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(deferred_indexes, "LEAST_BYTES", 0)
    original = indexes()
    run, _opened = begun(write_csv(tmp_path / "a.csv", [{"device_serial": "A1"}]), fleet())
    run.total = 1
    deferred_indexes.put_off(run)
    constraints = {each for each in run.put_off if each.startswith("ALTER")}
    impossible = "CREATE INDEX impossible ON nowhere (nothing)"
    run.put_off = [impossible, *run.put_off]
    run.save()
    with pytest.raises(ProgrammingError):
        deferred_indexes.make_up_for(run)
    run.refresh_from_db()
    assert set(run.put_off) == {impossible} | constraints

    run.put_off.remove(impossible)
    run.save()
    jobs.sweep_imports()
    run.refresh_from_db()
    assert indexes() == original and run.put_off == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rows", MANIFESTS.values(), ids=MANIFESTS)
def test_every_row_comes_to_the_same_with_unique_indexes_put_off(rows, tmp_path, monkeypatch):
    path = write_csv(tmp_path / "load.csv", rows)
    expected = outcome(work(begun(path, fleet())[0], path))
    assert expected[0]["certificates_new"] > 0
    Authority.objects.external().update(certificate=None, parent=None)
    for brought in (foreign_certificates(), Device.objects.all(), Authority.objects.external()):
        brought.delete()

    monkeypatch.setattr(deferred_indexes, "LEAST_BYTES", 0)
    during = []
    run = work(begun(path, fleet())[0], path, tell=lambda _run: during.append(unique_constraints()))

    assert len(during) > 2, "The manifest is one block."
    if rows is _BETWEEN:
        assert during == [set()] * len(during)
    assert outcome(run) == expected
    assert unique_constraints() == _UNIQUE and run.put_off == []


@pytest.mark.django_db(transaction=True)
def test_a_first_load_that_stopped_goes_on_with_unique_indexes(tmp_path, monkeypatch):
    monkeypatch.setattr(deferred_indexes, "LEAST_BYTES", 0)
    path = write_csv(tmp_path / "load.csv", MANIFESTS["one certificate of two devices"])
    run, _opened = begun(path, fleet())

    def interrupt(_run) -> None:
        raise KeyboardInterrupt

    # As after kill -9: nothing was made again at the end.
    monkeypatch.setattr(runs, "stop", lambda *_arguments: None)
    with pytest.raises(runs.Stopped):
        work(run, path, tell=interrupt)
    run.refresh_from_db()
    assert run.records > 0 and unique_constraints() == set()

    during = []
    run = work(run, path, tell=lambda _run: during.append(unique_constraints()))
    assert during and all(each == _UNIQUE for each in during)
    assert (run.state, run.rejected, run.certificates_new) == (ImportState.FINISHED, 1, 14)


@pytest.mark.django_db(transaction=True)
def test_an_import_that_begins_during_a_first_load_finds_what_that_one_brought(tmp_path, monkeypatch):
    monkeypatch.setattr(deferred_indexes, "LEAST_BYTES", 0)
    first = write_csv(tmp_path / "first.csv", [of("A", _SHARED), *_BETWEEN])
    second = write_csv(tmp_path / "second.csv", [of("B", _SHARED), _BETWEEN[9], plain(30)])
    others: list[ImportRun] = []

    def import_the_other(_run) -> None:
        if not others:
            others.append(work(begun(second, fleet())[0], second))
            assert unique_constraints() == _UNIQUE

    run = work(begun(first, fleet())[0], first, tell=import_the_other)

    assert counts(others[0]) == {
        "records": 3, "devices_new": 3, "certificates_new": 2, "rejected": 1,
    }  # fmt: skip
    # What the second brought before the first came to it is known to the first.
    assert (run.devices_new, run.devices_known) == (12, 1)
    assert (run.certificates_new + run.certificates_known + run.certificates_repeated, run.rejected) == (13, 0)
    assert foreign_certificates().count() == 14 and unique_constraints() == _UNIQUE


@pytest.mark.django_db(transaction=True)
def test_unique_indexes_stay_where_devices_use_certificates(tmp_path, monkeypatch):
    monkeypatch.setattr(deferred_indexes, "LEAST_BYTES", 0)
    enrolled()
    path = write_csv(tmp_path / "load.csv", _BETWEEN)
    during = []
    run = work(begun(path, fleet())[0], path, tell=lambda _run: during.append((unique_constraints(), run_put_off())))
    assert all(each == _UNIQUE and put_off for each, put_off in during) and run.put_off == []


def run_put_off() -> list[str]:
    return ImportRun.objects.latest("id").put_off


_names = st.integers(0, (1 << 64) - 1) | st.integers(0, 7)


@pytest.fixture(scope="module")
def small_slots():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(seen_certificates, "_SLOTS", 16)
        yield


@given(blocks=st.lists(st.lists(_names, max_size=6), max_size=8))
def test_no_name_is_new_twice(small_slots, blocks):
    seen: set[int] = set()
    novel = Novelty()
    for block in blocks:
        if not novel.meet(block):
            return
        assert len(set(block)) == len(block) and not seen & set(block)
        seen |= set(block)


def test_names_that_differ_are_new_until_too_many_share_a_slot(monkeypatch):
    monkeypatch.setattr(seen_certificates, "_SLOTS", 16)
    monkeypatch.setattr(seen_certificates, "_MOST_ELSEWHERE", 50)
    novel = Novelty()
    # All want one slot, and differ in their marks.
    names = [number << 33 | 5 for number in range(60)]
    assert [novel.meet([each]) for each in names] == [True] * 51 + [False] * 9


def test_a_name_is_of_an_issuer_and_a_serial_number():
    assert (
        len({seen_certificates.name(b"a", "1"), seen_certificates.name(b"b", "1"), seen_certificates.name(b"a", "2")})
        == 3
    )


def test_a_name_is_the_same_in_every_process():
    told = "from inventory.importing.loading.seen_certificates import name; print(name(b'issuer', '7f' * 20))"
    found = {
        subprocess.run([sys.executable, "-c", told], capture_output=True, check=True, text=True).stdout for _ in "ab"
    }
    assert found == {f"{seen_certificates.name(b'issuer', '7f' * 20)}\n"}
