"""Workbooks (Office Open XML) of any number of rows, in constant memory. Text stays text: nothing becomes a formula."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain, islice
from typing import IO, Any

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

# What a sheet and a cell hold (Microsoft, "Excel specifications and limits"). The rest goes on the next sheet.
ROWS_OF_A_SHEET = 1_048_576
_CHARACTERS_OF_A_CELL = 32_767
_WIDTH = 22
# Beyond this a cell would round it: numbers are IEEE doubles.
_WHOLE = 2**53
# Days are counted from 1900.
_BEFORE_TIME = 1900


def write(file: IO[bytes], name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write `rows` under the heads `columns` to `file`; return how many there were. Times must be aware: shown in UTC.

    A sheet is named `name`, the next "`name` 2". A text longer than a cell takes is cut, with an ellipsis at its end.
    """
    book = Workbook(file, {"constant_memory": True, "default_date_format": "yyyy-mm-dd hh:mm:ss"})
    head = book.add_format({"bold": True})
    left, written, sheets = iter(rows), 0, 0
    # A sheet at least: a workbook without one cannot be opened.
    while (first := next(left, None)) is not None or not sheets:
        sheets += 1
        sheet = _sheet(book, name if sheets == 1 else f"{name} {sheets}", columns, head)
        if first is not None:
            for number, row in enumerate(chain([first], islice(left, ROWS_OF_A_SHEET - 2)), start=1):
                _write_row(sheet, number, row)
                written += 1
    book.close()
    return written


def _sheet(book: Workbook, name: str, columns: Sequence[str], head: Format) -> Worksheet:
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, len(columns) - 1, _WIDTH)
    for number, column in enumerate(columns):
        sheet.write_string(0, number, column, head)
    return sheet


def _write_row(sheet: Worksheet, number: int, row: Sequence[Any]) -> None:
    for column, value in enumerate(row):
        match value:
            case None | "":
                continue
            case datetime() if value.year > _BEFORE_TIME:
                # A cell knows no time zone.
                sheet.write_datetime(number, column, value.astimezone(UTC).replace(tzinfo=None))
            case int() | float() | Decimal() if type(value) is not bool and -_WHOLE < value < _WHOLE:
                sheet.write_number(number, column, value)
            case _:
                text = json.dumps(value) if isinstance(value, dict | list) else str(value)
                cut = text if len(text) <= _CHARACTERS_OF_A_CELL else text[: _CHARACTERS_OF_A_CELL - 1] + "…"
                sheet.write_string(number, column, cut)
