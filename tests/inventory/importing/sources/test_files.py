"""Sources cut into blocks: whatever the size of a block and the place of a quote, records come whole and once."""

import csv
import io
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.formats.imports import Format, Target
from inventory.importing.parsing.records import Layout, Record, records
from inventory.importing.sources import files
from inventory.importing.sources.files import Archive, SourceRefused, TextFile, WholeFile, end_of_csv_records
from tests.inventory.importing.foreign import ForeignAuthority, der, pem

_CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20)


def _layout(form: Format) -> Layout:
    return Layout(form, columns=("a", "b"), mapping=(("a", Target.DEVICE_SERIAL), ("b", Target.SITE)))


def _read(source, form, position=None):
    return [found for piece in source.pieces(position) for found in records(piece.block, _layout(form))]


@given(rows=st.lists(st.tuples(_CELL, _CELL), max_size=30), block=st.integers(64, 300), quoting=st.sampled_from([0, 1]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_blocks_of_any_size_hold_the_records_that_the_csv_module_reads(tmp_path, rows, block, quoting):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator="\n").writerows(rows)
    content = text.getvalue()
    path = tmp_path / "rows.csv"
    path.write_bytes(content.encode())
    expected = [tuple(row) for row in csv.reader(io.StringIO(content, newline="")) if row and row != [""]]
    sources_block = TextFile(path, Format.CSV, block=block)
    sources_block._block = block

    found = _read(sources_block, Format.CSV)

    assert [(each.cells[Target.DEVICE_SERIAL], each.cells[Target.SITE]) for each in found] == expected


@given(
    data=st.binary(max_size=200).map(lambda raw: raw.replace(b"\0", b'"').replace(b"\1", b"\n").replace(b"\2", b","))
)
@settings(deadline=None)
def test_records_end_where_a_line_ends(data):
    end = end_of_csv_records(data, ord(","))
    assert end == 0 or data[end - 1 : end] == b"\n"


@given(rows=st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=30), stop=st.integers(1, 30))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reading_goes_on_from_the_position_behind_any_block(tmp_path, rows, stop):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    path = tmp_path / "rows.csv"
    path.write_bytes(text.getvalue().encode())

    def source():
        return TextFile(path, Format.CSV, block=1)

    pieces = list(source().pieces(None))
    if not pieces:
        return
    position = pieces[min(stop, len(pieces)) - 1].position
    assert list(source().pieces(position)) == pieces[min(stop, len(pieces)) :]


def test_a_quote_that_is_never_closed_costs_its_own_line(tmp_path):
    path = tmp_path / "open.csv"
    path.write_text('a1,x\n"a2,x\na3,x\na4,x\n')

    found = _read(TextFile(path, Format.CSV), Format.CSV)

    assert [each.line for each in found] == [1, 2, 3, 4]
    assert [type(each).__name__ for each in found] == ["Record", "Reject", "Record", "Record"]
    assert found[1].reason == "A quote is opened here and never closed." and found[1].original == '"a2,x'


def test_a_line_without_end_is_not_taken_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_RECORD_BYTES", 1000)
    path = tmp_path / "long.jsonl"
    path.write_bytes(b'{"a": "1"}\n' + b"x" * 150_000 + b'\n{"a": "2"}\n')
    source = TextFile(path, Format.JSON_LINES, block=2000)

    found = _read(source, Format.JSON_LINES)

    good = [each for each in found if isinstance(each, Record)]
    assert [each.cells[Target.DEVICE_SERIAL] for each in good] == ["1", "2"]
    assert max(len(piece.block.payload) for piece in source.pieces(None)) <= 3 * 64 * 1024


def test_a_bundle_of_pem_keeps_no_private_key(tmp_path):
    old = ForeignAuthority()
    key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n"
    path = tmp_path / "bundle.pem"
    path.write_text(f"Remark\n{pem(old.certificate)}{key}{pem(old.signs('CN=B1'))}-----BEGIN CERTIFICATE-----\nAAAA\n")

    found = _read(TextFile(path, Format.PEM, block=1), Format.PEM)

    assert [type(each).__name__ for each in found] == ["Record", "Reject", "Record", "Reject"]
    assert found[1].original == "" and "PRIVATE KEY is no certificate" in found[1].reason
    lines = path.read_text().splitlines()
    assert all(lines[each.line - 1].startswith("-----BEGIN") for each in found)


def test_a_zip_gives_its_members_and_refuses_the_bad_ones(tmp_path):
    old = ForeignAuthority()
    path = tmp_path / "factory.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dir/", b"")
        archive.writestr("dir/one.der", der(old.signs("CN=Z1")))
        archive.writestr("two.pem", pem(old.signs("CN=Z2"), old.certificate))
        archive.writestr("../../etc/passwd", b"root:x:0:0")

    pieces = list(Archive(path).pieces(None))
    found = [each for piece in pieces for each in records(piece.block, _layout(Format.ZIP))]

    assert [each.line for each in found] == [2, 3, 3, 4]
    assert pieces[-1].position == {"member": 4}


def test_a_member_that_was_damaged_is_named(tmp_path):
    path = tmp_path / "damaged.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("one.pem", b"A" * 500)
        archive.writestr("two.pem", b"B" * 500)
    content = bytearray(path.read_bytes())
    content[content.index(b"A" * 100)] = 0x43
    path.write_bytes(content)

    blocks = [piece.block for piece in Archive(path).pieces(None)]

    assert "cannot be unpacked" in blocks[0].broken and blocks[0].payload == b"one.pem"
    assert blocks[1].members[0][1] == "two.pem"


def test_a_bomb_is_refused_before_anything_is_unpacked(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.pem", bytes(50 << 20))
    with pytest.raises(SourceRefused, match="looks like a bomb"):
        Archive(path)


def test_a_bundle_that_is_read_whole_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_WHOLE_BYTES", 10)
    path = tmp_path / "big.p7b"
    path.write_bytes(b"0" * 11)
    with pytest.raises(SourceRefused, match="at most"):
        WholeFile(path)
