"""A source recognised: its format, its header and what its columns mean, from a bounded look at its beginning."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inventory.formats.imports import Encoding, Format, Link, Product, Target
from inventory.importing.parsing.records import Layout
from inventory.importing.sources.files import Archive, Source, SourceRefused, TextFile, WholeFile
from inventory.importing.sources.products import DESCRIPTIONS

_LOOKED_AT = 64 * 1024
_BOM = b"\xef\xbb\xbf"
_DELIMITERS = (",", ";", "\t", "|")
# DER of the object identifier of signedData (RFC 5652 5.1), with which a PKCS #7 bundle begins.
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_FOREIGN_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


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
    """Return the format of a file that begins so. Raises SourceRefused for what has to be unpacked first."""
    for magic, name in _FOREIGN_MAGIC.items():
        if beginning.startswith(magic):
            raise SourceRefused(f"The file is {name}; unpack it, or save it as UTF-8.")
    if beginning.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return Format.ZIP
    if beginning[:1] == b"\x30" and beginning[1:2] >= b"\x80":
        return Format.PKCS7 if _SIGNED_DATA in beginning[:40] else Format.DER
    text = beginning.removeprefix(_BOM).lstrip()
    if text.startswith(b"{"):
        return Format.JSON_LINES
    # A bundle may begin with remarks; a table has its delimiters before its first certificate.
    first_line = text.partition(b"\n")[0]
    if b"-----BEGIN" in first_line and b"," not in first_line:
        return Format.PEM
    if b"-----BEGIN" in text and not any(delimiter.encode() in first_line for delimiter in _DELIMITERS):
        return Format.PEM
    return Format.CSV


def _after_bom(beginning: bytes) -> int:
    return len(_BOM) if beginning.startswith(_BOM) else 0


def _open_csv(path: Path, beginning: bytes, reading: Reading, link: Link) -> Opened:
    offset = _after_bom(beginning)
    text = beginning[offset:].decode(reading.encoding.value, "replace")
    if "\n" not in text and len(beginning) == _LOOKED_AT:
        raise SourceRefused(f"{path} has no line end in its first {_LOOKED_AT:,} bytes; a CSV begins with a header.")
    delimiter = max(_DELIMITERS, key=lambda each: len(_header(text, each)[0]))
    columns, lines = _header(text, delimiter)
    if len(set(columns)) < len(columns):
        raise SourceRefused(f"{path} names a column twice: {', '.join(columns)}.")
    mapping = csv_mapping(columns, reading)
    body = beginning[offset:].split(b"\n")[:lines]
    layout = Layout(Format.CSV, reading.encoding, delimiter, columns, mapping, reading.product or "")
    start = offset + sum(len(line) + 1 for line in body)
    return Opened(TextFile(path, Format.CSV, delimiter=delimiter, offset=start, line=lines + 1), layout, link)


def _header(text: str, delimiter: str) -> tuple[tuple[str, ...], int]:
    """Return the columns of the first record, and over how many lines it goes."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = next(reader, [])
    return tuple(column.strip() for column in columns), reader.line_num


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
            f"{found}: none of them is mapped to device_serial or certificate. Map one with --map COLUMN=TARGET; "
            f"targets are {', '.join(target.value for target in Target)}."
        )
    if len(set(wanted.values())) < len(wanted):
        raise SourceRefused("Two columns are mapped to the same target.")
