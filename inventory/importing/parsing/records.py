"""Blocks of a source read into records. Pure: bytes in, records out, each with its line and its original text."""

import binascii
import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from inventory.formats.imports import Encoding, Format, Target
from inventory.importing.parsing import csv_rows
from inventory.importing.parsing.rows import Cells
from inventory.importing.parsing.values import BadValue, shown
from inventory.x509 import lenient

# A record beyond this is not read: it is rejected, and the next one begins at the next line.
MAX_RECORD_BYTES = 4 << 20
_KEPT_OF_A_REJECT = 64 * 1024
csv.field_size_limit(2 * MAX_RECORD_BYTES)

# A block ends before the next one begins; where it does not, only its first line is found.
_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(?:[^-]*+(?:-(?!----)[^-]*+)*+(-----END \1-----))?")
_CERTIFICATE_LABELS = {b"CERTIFICATE", b"TRUSTED CERTIFICATE", b"X509 CERTIFICATE"}
_BUNDLE_LABELS = {b"PKCS7", b"CMS"}
# What may stand in a bundle and is nobody's inventory.
_PASSED_OVER = {b"X509 CRL", b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST", b"EC PARAMETERS", b"DH PARAMETERS"}


@dataclass(frozen=True)
class Layout:
    """How the records of a source are written. `columns` are a CSV's header; `mapping` says what is read of them."""

    format: Format
    encoding: Encoding = Encoding.UTF_8
    delimiter: str = ","
    columns: tuple[str, ...] = ()
    mapping: tuple[tuple[str, Target], ...] = ()
    product: str = ""


@dataclass(frozen=True)
class Block:
    """Some whole records of a source. `first_line` is the number of the first; `broken` says why they are none."""

    payload: bytes
    first_line: int
    broken: str = ""
    # Of a ZIP: the members, instead of a payload.
    members: tuple[tuple[int, str, bytes], ...] = ()


class Record(NamedTuple):
    line: int
    cells: Cells
    original: str


@dataclass(frozen=True, slots=True)
class Reject:
    """A rejected record and the reason. `original` is its text, truncated if it is long."""

    line: int
    reason: str
    original: str


def records(block: Block, layout: Layout) -> Iterator[Record | Reject]:
    """Return the records of `block` in order, with a Reject in the place of each that cannot be read."""
    if block.broken:
        yield Reject(block.first_line, block.broken, kept(_decoded(block.payload, layout.encoding)))
        return
    match layout.format:
        case Format.CSV:
            yield from _csv(block, layout)
        case Format.JSON_LINES:
            yield from _json_lines(block, layout)
        case Format.PEM:
            yield from _pem(block.payload, block.first_line)
        case Format.DER:
            yield Record(block.first_line, {Target.CERTIFICATE: block.payload}, "")
        case Format.PKCS7:
            yield from _pkcs7(block.payload, block.first_line, encoded=False)
        case Format.ZIP:
            for number, name, content in block.members:
                yield from _member(number, name, content)


def _decoded(payload: bytes, encoding: Encoding) -> str:
    return payload.decode(encoding.value, "surrogateescape")


def kept(text: str) -> str:
    """Return the text of a reject for files and pages: at most 64 KiB, undecodable bytes escaped."""
    cut = text if len(text) <= _KEPT_OF_A_REJECT else f"{text[:_KEPT_OF_A_REJECT]}… ({len(text):,} characters)"
    readable = cut.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return readable.replace("\0", "\\x00").rstrip("\r\n")


def _unreadable_text(text: str, encoding: Encoding) -> str:
    """Return why `text` is not what its encoding promised, or nothing."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return f"The line is not {encoding.value}; say that its encoding is latin-1, if it is."
    return ""


def _csv(block: Block, layout: Layout) -> Iterator[Record | Reject]:
    text = _decoded(block.payload, layout.encoding)
    suspicious = not _is_clean(block.payload, layout.encoding)
    wanted = _wanted(layout)
    width = len(layout.columns)
    for fields, original, begin in csv_rows.rows(text, layout.delimiter):
        line = block.first_line + begin
        if suspicious and (problem := _unreadable_text(original, layout.encoding)):
            yield Reject(line, problem, kept(original))
        elif len(fields) != width and (len(fields) < width or any(field.strip() for field in fields[width:])):
            reason = f"The row has {len(fields)} columns, the header {width}; a quote or delimiter is out of place."
            yield Reject(line, reason, kept(original))
        else:
            yield Record(line, {target: fields[at] for at, target in wanted}, original)


def _is_clean(payload: bytes, encoding: Encoding) -> bool:
    try:
        payload.decode(encoding.value)
    except UnicodeDecodeError:
        return False
    return True


def _wanted(layout: Layout) -> list[tuple[int, Target]]:
    targets: Mapping[str, Target] = dict(layout.mapping)
    return [(at, targets[column]) for at, column in enumerate(layout.columns) if column in targets]


def _json_lines(block: Block, layout: Layout) -> Iterator[Record | Reject]:
    for number, raw in enumerate(block.payload.split(b"\n"), block.first_line):
        if not raw.strip():
            continue
        original = _decoded(raw, layout.encoding)
        try:
            document = json.loads(raw.decode(layout.encoding.value))
        except UnicodeDecodeError:
            yield Reject(number, f"The line is not {layout.encoding.value}.", kept(original))
            continue
        except (ValueError, RecursionError) as error:
            yield Reject(number, f"The line is no JSON: {error}.", kept(original))
            continue
        if not isinstance(document, dict):
            yield Reject(number, "The line is no JSON object.", kept(original))
            continue
        try:
            cells = {
                target: _cell(target, value)
                for path, target in layout.mapping
                if (value := at_path(document, path)) is not None
            }
        except BadValue as problem:
            yield Reject(number, str(problem), kept(original))
            continue
        yield Record(number, cells, original)


def at_path(document: object, path: str) -> object:
    """Return the value at a dotted path such as `certificate.status`, or None."""
    for step in path.split("."):
        if not isinstance(document, dict):
            return None
        document = document.get(step)
    return document


# Where JSON may say a number with a fraction. Elsewhere it has lost what was meant: 1E5 may have been a serial.
_FRACTIONS = {Target.LATITUDE, Target.LONGITUDE, Target.LAST_SEEN, Target.ISSUED, Target.REVOKED_AT}


def _cell(target: Target, value: object) -> str:
    """Return a value of JSON as the text of a cell. Raises BadValue for what is no such value."""
    if isinstance(value, str):
        return value
    # Some products say the state by true and false, step-ca by an object.
    if isinstance(value, bool | dict) and target is Target.STATE:
        return json.dumps(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and target in _FRACTIONS:
        return json.dumps(value)
    raise BadValue(f"{target.value} is {shown(json.dumps(value))} in JSON; a string or a whole number is read.")


def _pem(payload: bytes, first_line: int) -> Iterator[Record | Reject]:
    line, counted = first_line, 0
    for match in _PEM_BLOCK.finditer(payload):
        line += payload.count(b"\n", counted, match.start())
        counted = match.start()
        label, block = match[1], match[0]
        if match[2] is None:
            yield Reject(line, "The PEM block has no END line of its own kind; its text is not kept.", "")
        elif label in _CERTIFICATE_LABELS:
            yield Record(line, {Target.CERTIFICATE: block}, block.decode("ascii", "backslashreplace"))
        elif label in _BUNDLE_LABELS:
            yield from _pkcs7(block, line, encoded=True)
        elif label not in _PASSED_OVER:
            # Never copied anywhere: it may be a private key.
            yield Reject(line, f"A block of {label.decode('ascii')} is no certificate; its text is not kept.", "")


def _pkcs7(payload: bytes, line: int, *, encoded: bool) -> Iterator[Record | Reject]:
    load = pkcs7.load_pem_pkcs7_certificates if encoded else pkcs7.load_der_pkcs7_certificates
    try:
        found = [certificate.public_bytes(serialization.Encoding.DER) for certificate in load(payload)]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # One certificate that the library refuses keeps no other out.
        found = _bundled(payload, encoded=encoded)
        if not found:
            reason = " ".join(str(error).split()).rstrip(".")
            yield Reject(line, f"The PKCS #7 bundle has no certificates that can be read: {reason}.", "")
            return
    if not found:
        yield Reject(line, "The PKCS #7 bundle holds no certificate.", "")
    for der in found:
        yield Record(line, {Target.CERTIFICATE: der}, "")


def _bundled(payload: bytes, *, encoded: bool) -> list[bytes]:
    try:
        return lenient.bundled(_from_pem(payload) if encoded else payload)
    except (lenient.Malformed, binascii.Error):
        return []


def _from_pem(block: bytes) -> bytes:
    return binascii.a2b_base64(b"".join(block.strip().splitlines()[1:-1]))


def _member(number: int, name: str, content: bytes) -> Iterator[Record | Reject]:
    """Return what a member of a ZIP holds. Its line is the number of the member."""
    if b"-----BEGIN" in content:
        found = _pem(content, 0)
    elif name.lower().endswith((".p7b", ".p7c")):
        found = _pkcs7(content, 0, encoded=False)
    else:
        found = iter([Record(0, {Target.CERTIFICATE: content}, "")])
    for each in found:
        if isinstance(each, Record):
            yield Record(number, each.cells, each.original or name)
        else:
            yield Reject(number, f"{name}: {each.reason}", each.original)
