"""CSV cut at its quotes. Pure: the text of whole records in, their fields out.

The csv module looks at each character, and a certificate in PEM has hundreds. Where quotes do nothing but begin and end
fields, as programs write them, a search for them finds the same fields at a third of the cost. Other text is left to
the module, whose reading this one's is (a test compares them).
"""

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple


class Row(NamedTuple):
    """The fields of a record, the lines it stands in, and the number of the first of them in the text, from 0."""

    fields: list[str]
    original: str
    line: int


def rows(text: str, delimiter: str) -> Iterator[Row]:
    """Return the records in `text` but empty ones. Raises csv.Error."""
    pieces = text.split('"')
    found = _cut(text, pieces, delimiter) if _is_plain(text, pieces, delimiter) else _read(text, delimiter)
    return (row for row in found if row.fields and row.fields != [""])


def _is_plain(text: str, pieces: list[str], delimiter: str) -> bool:
    """Return whether each quote begins or ends a field, and lines end in one way; `pieces` lie between the quotes."""
    if len(pieces) % 2 == 0 or "\r" in text:
        return False
    first, *behind = pieces[::2]
    before = [first or "\n", *behind[:-1]] if behind else []
    # A doubled quote has nothing between its two.
    return all(piece[-1:] in (delimiter, "\n") and piece for piece in before) and all(
        piece[:1] in ("", delimiter, "\n") for piece in behind
    )


def _cut(text: str, pieces: list[str], delimiter: str) -> Iterator[Row]:
    fields: list[str] = []
    begin = end = begin_line = line = 0
    last = len(pieces) - 1
    for number, piece in enumerate(pieces):
        if number % 2:
            fields.append(piece)
            line += piece.count("\n")
            end += len(piece) + 2
            continue
        *whole, rest = piece.split("\n")
        behind_quote = number > 0
        for each in whole:
            fields += _between(each, delimiter, behind_quote=behind_quote, before_quote=False)
            end += len(each) + 1
            line += 1
            yield Row(fields, text[begin:end], begin_line)
            fields, begin, begin_line, behind_quote = [], end, line, False
        if rest or behind_quote:
            fields += _between(rest, delimiter, behind_quote=behind_quote, before_quote=number < last)
            end += len(rest)
    if begin < end:
        yield Row(fields, text[begin:end], begin_line)


def _between(text: str, delimiter: str, *, behind_quote: bool, before_quote: bool) -> list[str]:
    """Return the fields without quotes in a line, or in what of it lies behind or before a field with quotes."""
    if behind_quote:
        if not text:
            return []
        text = text[1:]
    fields = text.split(delimiter)
    if before_quote:
        fields.pop()
    return fields


def _read(text: str, delimiter: str) -> Iterator[Row]:
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(iter(lines), delimiter=delimiter)
    begin = 0
    for fields in reader:
        yield Row(fields, "".join(lines[begin : reader.line_num]), begin)
        begin = reader.line_num
