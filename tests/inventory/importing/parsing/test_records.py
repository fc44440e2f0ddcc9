"""What stands in a source as one record, and what of it is refused with its line."""

import json

import pytest

from inventory.formats.imports import Format, Target
from inventory.importing.parsing.certificates import Unreadable
from inventory.importing.parsing.records import Block, Layout, Record, Reject, records
from inventory.importing.parsing.rows import Rules, row
from inventory.importing.parsing.values import BadValue
from tests.factories import NOW
from tests.inventory.importing.foreign import ForeignAuthority, der, pem
from tests.inventory.importing.odd import bundle, vector, with_empty_relative_name

OLD = ForeignAuthority()
EVERY_TARGET = Layout(Format.JSON_LINES, mapping=tuple((target.value, target) for target in Target))


def read(content: bytes, layout: Layout) -> list[Record | Reject]:
    return list(records(Block(content, 1), layout))


@pytest.mark.parametrize("value", ["1E5", "12345.0", "NaN", "-Infinity", "true", "[1]", '{"a": 1}'])
@pytest.mark.parametrize("target", [target for target in Target if target is not Target.STATE])
def test_json_that_is_neither_text_nor_a_whole_number_is_refused(target, value):
    allowed = {Target.LATITUDE, Target.LONGITUDE, Target.LAST_SEEN, Target.ISSUED, Target.REVOKED_AT}
    number = value in {"1E5", "12345.0", "NaN", "-Infinity"}
    [found] = read(f'{{"{target.value}": {value}}}'.encode(), EVERY_TARGET)
    if target in allowed and number:
        assert isinstance(found, Record)
    else:
        assert isinstance(found, Reject) and f"{target.value} is" in found.reason
        assert "a string or a whole number is read" in found.reason


@pytest.mark.parametrize(("value", "serial"), [("12345", "12345"), ('"1E5"', "1E5"), ("12345678901234567890", None)])
def test_a_whole_number_in_json_keeps_its_digits(value, serial):
    [found] = read(f'{{"device_serial": {value}}}'.encode(), EVERY_TARGET)
    assert found.cells[Target.DEVICE_SERIAL] == (serial or value)


@pytest.mark.parametrize("target", Target)
@pytest.mark.parametrize("text", ["Halle \ud83d", "\udc80", "a\0b"])
def test_text_that_no_row_can_hold_is_a_reason_and_no_failure(target, text):
    cells = {Target.DEVICE_SERIAL: "A", Target.CERTIFICATE: pem(OLD.signs("CN=A")), target: text}
    [found] = read(json.dumps({each.value: value for each, value in cells.items()}).encode(), EVERY_TARGET)
    rules = Rules(fleets={}, now=NOW, default_fleet=1)
    if target is Target.CHAIN:
        assert "In its chain" in row(found.cells, rules).refused[0].reason
        return
    with pytest.raises((BadValue, Unreadable)) as refused:
        row(found.cells, rules)
    assert str(refused.value).encode()


def test_a_block_without_end_costs_itself_and_not_the_next():
    torn = "-----BEGIN CERTIFICATE-----\nAAAA\n"
    content = f"{torn}{pem(OLD.signs('CN=B1'))}{torn}{torn}{pem(OLD.signs('CN=B2'))}{torn}"
    found = read(content.encode(), Layout(Format.PEM))
    assert [type(each) for each in found] == [Reject, Record, Reject, Reject, Record, Reject]
    lines = content.splitlines()
    assert all(lines[each.line - 1].startswith("-----BEGIN") for each in found)


@pytest.mark.parametrize("name", ["enveloped.pem", "enveloped-no-content.der"])
def test_a_bundle_that_holds_no_certificates_is_one_reject_between_its_neighbours(name):
    content = vector("pkcs7", name)
    if name.endswith(".der"):
        [reject] = read(content, Layout(Format.PKCS7))
        assert isinstance(reject, Reject) and reject.line == 1
        return
    before, after = (pem(OLD.signs(f"CN=E{number}")).encode() for number in range(2))
    found = read(before + content + after, Layout(Format.PEM))
    assert [type(each) for each in found] == [Record, Reject, Record]
    assert found[1].line == before.count(b"\n") + 1


def test_an_odd_certificate_in_a_bundle_keeps_no_other_out():
    whole = [der(OLD.signs("CN=P1")), with_empty_relative_name(), der(OLD.signs("CN=P2"))]
    found = read(bundle(whole), Layout(Format.PKCS7))
    assert [each.cells[Target.CERTIFICATE] for each in found] == whole


@pytest.mark.parametrize(
    ("fields", "kind"), [("A,x", Record), ("A,x,,", Record), ("A,x,y", Reject), ("A", Reject), ("A,x, ,z", Reject)]
)
def test_what_stands_behind_the_header_must_be_empty(fields, kind):
    layout = Layout(Format.CSV, columns=("device_serial", "site"), mapping=(("device_serial", Target.DEVICE_SERIAL),))
    [found] = read(f"{fields}\n".encode(), layout)
    assert type(found) is kind
