"""Detects the format, header and columns of a source from a bounded part of its beginning."""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from inventory.formats.imports import Encoding, Format, Link, Product, Target
from inventory.importing.parsing import kinds
from inventory.importing.parsing.records import Layout
from inventory.importing.sources.files import Archive, Source, SourceRefused, TextFile, WholeFile
from inventory.importing.sources.products import DESCRIPTIONS

_LOOKED_AT = 64 * 1024
_BOM = b"\xef\xbb\xbf"
_DELIMITERS = (",", ";", "\t", "|")
# DER of the object identifier of signedData (RFC 5652 5.1), with which a PKCS #7 bundle begins.
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
# A block of RFC 7468 begins on a line of its own.
_PEM_BEGINS = re.compile(rb"^[ \t]*-----BEGIN [A-Z0-9 ]+-----[ \t]*\r?$", re.M)
_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True)
class Reading:
    """What was said about a source; what was not is found out. `columns` are those of a saved mapping or of options."""

    columns: Mapping[str, Target]
    format: Format | None = None
    encoding: Encoding = Encoding.UTF_8
    link: Link | None = None
    product: Product | None = None


@dataclass(frozen=True)
class Opened:
    source: Source
    layout: Layout
    link: Link


def open_file(path: Path, reading: Reading) -> Opened:
    """Return the source in a file and how it is read. Raises SourceRefused, or OSError when it cannot be read."""
    with path.open("rb") as stream:
        beginning = stream.read(_LOOKED_AT)
    if not beginning:
        raise SourceRefused(f"{path} is empty.")
    form = reading.format or recognise(beginning)
    link = link_of(reading)
    match form:
        case Format.CSV:
            return _open_csv(path, beginning, reading, link)
        case Format.JSON_LINES:
            mapping = json_mapping(reading)
            layout = Layout(form, reading.encoding, mapping=mapping, product=reading.product or "")
            return Opened(TextFile(path, form, offset=_after_bom(beginning)), layout, link)
        case Format.PEM:
            return Opened(TextFile(path, form), Layout(form), link)
        case Format.ZIP:
            return Opened(Archive(path), Layout(form), link)
        case _:
            return Opened(WholeFile(path), Layout(form), link)


def link_of(reading: Reading) -> Link:
    if reading.link:
        return reading.link
    return DESCRIPTIONS[reading.product].link if reading.product else Link.COLUMN


def recognise(beginning: bytes) -> Format:
    """Return the format of a file that begins so. Raises SourceRefused for what is to be converted first."""
    if kind := kinds.foreign_kind(beginning):
        raise SourceRefused(f"The file is {kind}.")
    if kinds.is_zip(beginning):
        return Format.ZIP
    if beginning[:1] == b"\x30" and beginning[1:2] >= b"\x80":
        return Format.PKCS7 if _SIGNED_DATA in beginning[:40] else Format.DER
    text = beginning.removeprefix(_BOM).lstrip()
    if _is_pem(text):
        return Format.PEM
    return Format.JSON_LINES if text.startswith(b"{") else Format.CSV


def _is_pem(text: bytes) -> bool:
    begins = _PEM_BEGINS.search(text)
    # Whatever explains a block before it (RFC 7468 2); inside of quotes it is the cell of a table.
    if begins and text.count(b'"', 0, begins.start()) % 2 == 0:
        return True
    # Its line breaks may be lost. A table has its delimiters before its first certificate.
    first_line = text.partition(b"\n")[0]
    return b"-----BEGIN" in text and not any(delimiter.encode() in first_line for delimiter in _DELIMITERS)


def _after_bom(beginning: bytes) -> int:
    return len(_BOM) if beginning.startswith(_BOM) else 0


def _open_csv(path: Path, beginning: bytes, reading: Reading, link: Link) -> Opened:
    offset = _after_bom(beginning)
    text = beginning[offset:].decode(reading.encoding.value, "replace")
    if "\n" not in text and len(beginning) == _LOOKED_AT:
        raise SourceRefused(f"{path} has no line end in its first {_LOOKED_AT:,} bytes; a CSV begins with a header.")
    delimiter = max(_DELIMITERS, key=lambda each: len(_header(text, each)[0]))
    columns, lines = _header(text, delimiter)
    named = [column for column in columns if column]
    if len(set(named)) < len(named):
        raise SourceRefused(f"{path} names a column twice: {', '.join(columns)}.")
    mapping = csv_mapping(columns, reading)
    ends = list(islice(_LINE_END.finditer(beginning, offset), lines))
    if any(end.group() == b"\r" for end in ends):
        raise SourceRefused(f"{path} ends its lines with CR alone, as old programs do; save it with LF or CR LF.")
    start = ends[-1].end() if len(ends) == lines else len(beginning)
    layout = Layout(Format.CSV, reading.encoding, delimiter, columns, mapping, reading.product or "")
    return Opened(TextFile(path, Format.CSV, delimiter=delimiter, offset=start, line=lines + 1), layout, link)


def _header(text: str, delimiter: str) -> tuple[tuple[str, ...], int]:
    """Return the columns of the first record, but empty ones at its end, and over how many lines it goes.

    Raises SourceRefused.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        columns = [column.strip() for column in next(reader, [])]
    except csv.Error as error:
        raise SourceRefused(f"The header cannot be read: {error}.") from error
    if any("\0" in column for column in columns):
        raise SourceRefused("The header holds NUL characters; if the file is UTF-16, save it as UTF-8.")
    while columns and not columns[-1]:
        columns.pop()
    return tuple(columns), reader.line_num


def csv_mapping(columns: tuple[str, ...], reading: Reading) -> tuple[tuple[str, Target], ...]:
    """Return what the columns of a header mean. Raises SourceRefused when nothing of it can be imported."""
    wanted = dict(reading.columns)
    if missing := [column for column in wanted if column not in columns]:
        raise SourceRefused(
            f"The file has no column {missing[0]!r}, which the mapping names; it has {', '.join(columns)}."
        )
    if reading.product:
        product = DESCRIPTIONS[reading.product].mapping
        wanted = {column: target for column, target in product.items() if column in columns} | wanted
    elif not wanted:
        named = {target.value: target for target in Target}
        wanted = {column: named[word] for column in columns if (word := _word(column)) in named}
    _check(wanted, f"The columns are {', '.join(columns) or 'none'}")
    return tuple(wanted.items())


def json_mapping(reading: Reading) -> tuple[tuple[str, Target], ...]:
    wanted = dict(DESCRIPTIONS[reading.product].mapping) if reading.product else {}
    wanted |= reading.columns
    return tuple((wanted or {target.value: target for target in Target}).items())


def _word(column: str) -> str:
    return column.strip().lower().replace(" ", "_").replace("-", "_")


def _check(wanted: Mapping[str, Target], found: str) -> None:
    if not {Target.DEVICE_SERIAL, Target.CERTIFICATE} & set(wanted.values()):
        raise SourceRefused(
            f"{found}: none of them is mapped to device_serial or certificate. "
            "Say what they mean, by a column mapping or --map COLUMN=TARGET; "
            f"targets are {', '.join(target.value for target in Target)}."
        )
    if len(set(wanted.values())) < len(wanted):
        raise SourceRefused("Two columns are mapped to the same target.")
