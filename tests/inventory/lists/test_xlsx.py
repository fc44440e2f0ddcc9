"""Workbooks: every row, in cells that hold what they were given."""

import io
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from inventory.lists import xlsx
from tests import workbooks


def written(rows, columns=("a", "b")) -> tuple[bytes, int]:
    file = io.BytesIO()
    count = xlsx.write(file, "devices", columns, rows)
    return file.getvalue(), count


def test_each_value_stands_in_its_cell():
    moment = datetime(2027, 2, 14, 12, tzinfo=UTC)
    content, count = written(
        [
            [1, "x"],
            [None, "y"],
            [Decimal("5.421925"), True],
            [2**63, {"k": [1]}],
            [moment, datetime(1, 1, 1, tzinfo=UTC)],
        ]
    )
    assert count == 5
    assert workbooks.sheets(content)["devices"] == [
        ["a", "b"],
        ["1", "x"],
        ["", "y"],
        ["5.421925", "True"],
        ["9223372036854775808", '{"k": [1]}'],
        ["46432.5", "0001-01-01 00:00:00+00:00"],
    ]


def test_a_time_is_shown_in_utc():
    moment = datetime(2027, 2, 14, 12, tzinfo=UTC)
    content, _ = written([[moment, moment.astimezone(timezone(timedelta(hours=8)))]])
    assert workbooks.sheets(content)["devices"][1] == ["46432.5", "46432.5"]


def test_no_text_becomes_a_formula_or_breaks_the_file():
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "{=1}", "http://evil.example", "<script>&\"'", "a\x00\x0bb", "\u202e"]
    content, _ = written([[text, text] for text in hostile])
    assert workbooks.formulas(content) == []
    shown = [row[0] for row in workbooks.sheets(content)["devices"][1:]]
    assert shown == [text.replace("\x00", "_x0000_").replace("\x0b", "_x000B_") for text in hostile]


def test_a_text_longer_than_a_cell_says_that_it_was_cut():
    content, _ = written([["x" * 32_767, "x" * 32_768]])
    kept, cut = workbooks.sheets(content)["devices"][1]
    assert (len(kept), len(cut), cut[-1]) == (32_767, 32_767, "…")


def test_what_a_sheet_cannot_hold_stands_on_the_next(monkeypatch):
    monkeypatch.setattr(xlsx, "ROWS_OF_A_SHEET", 4)
    content, count = written([[number, "x"] for number in range(7)])
    assert count == 7
    found = workbooks.sheets(content)
    assert list(found) == ["devices", "devices 2", "devices 3"]
    assert all(rows[0] == ["a", "b"] for rows in found.values())
    assert [row[0] for rows in found.values() for row in rows[1:]] == [str(number) for number in range(7)]


def test_a_workbook_without_rows_can_be_opened():
    content, count = written([])
    assert (count, workbooks.sheets(content)) == (0, {"devices": [["a", "b"]]})
