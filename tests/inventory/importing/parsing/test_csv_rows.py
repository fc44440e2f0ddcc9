"""CSV cut at its quotes reads as the csv module reads it."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inventory.importing.parsing import csv_rows


def as_the_module_reads_it(text: str, delimiter: str = ",") -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row and row != [""]]


@given(st.text('ab",;\n\r\t ', max_size=40), st.sampled_from(",;"))
@example('"a","b"\n"",a\n', ",")
@example('a,"b\nb",\n\n"c"', ",")
@example('"a""b",c\n', ",")
@example('""\n"a', ",")
@example('a"b",c\n', ",")
@example('"a" ,b\n"c"d\n', ",")
def test_any_text_has_the_fields_that_the_csv_module_finds(text, delimiter):
    assert [row.fields for row in csv_rows.rows(text, delimiter)] == as_the_module_reads_it(text, delimiter)


@given(
    st.lists(st.lists(st.text('ab",\n\r ', max_size=6), min_size=1, max_size=4), max_size=5),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_each_row_knows_its_lines(written, line_end, quoting):
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator=line_end, quoting=quoting).writerows(written)
    text = stream.getvalue()
    found = list(csv_rows.rows(text, ","))
    assert [row.fields for row in found] == as_the_module_reads_it(text)
    lines = list(io.StringIO(text, newline=""))
    for row in found:
        assert "".join(lines[row.line :]).startswith(row.original)
        assert as_the_module_reads_it(row.original) == [row.fields]


@pytest.mark.parametrize("end", ["", "\n"])
def test_the_last_row_needs_no_line_break(end):
    assert list(csv_rows.rows('a,"b\nc"\n\nd,e' + end, ",")) == [
        csv_rows.Row(["a", "b\nc"], 'a,"b\nc"\n', 0),
        csv_rows.Row(["d", "e"], "d,e" + end, 3),
    ]
