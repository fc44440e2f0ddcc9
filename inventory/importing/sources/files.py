"""Sources cut into blocks that end between records, from any position on. At most a few blocks are in memory."""

import hashlib
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from inventory.formats.imports import Format
from inventory.importing.parsing.records import MAX_RECORD_BYTES, Block

BLOCK_BYTES = 4 << 20
_FINGERPRINTED_BYTES = 1 << 20
# A file that is read whole.
MAX_WHOLE_BYTES = 64 << 20

# Bounds of a ZIP: what a factory sends is below them, what was made to fill a disk is above.
MAX_MEMBERS = 3_000_000
MAX_MEMBER_BYTES = 8 << 20
MAX_RATIO = 200
_MEMBERS_IN_A_BLOCK = 4096
# ECMA-376-2 10.1.2: every Office Open XML package has this part.
_OF_A_WORKBOOK = "[Content_Types].xml"

Position = dict[str, Any]


class SourceRefused(ValueError):
    """The source cannot be imported; the text says why and what to do."""


@dataclass(frozen=True)
class Piece:
    """A block, where the next one begins, and how much of the source is behind it."""

    block: Block
    position: Position
    done: int


class Source(Protocol):
    """`total` is in the unit of `Piece.done`, None when it is not known. `fingerprint` tells another source apart."""

    total: int | None
    fingerprint: str

    def pieces(self, position: Position | None) -> Iterator[Piece]: ...


def fingerprint_of(path: Path) -> str:
    """Return a fingerprint of a file, without reading all of it."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as stream:
        digest.update(stream.read(_FINGERPRINTED_BYTES))
        stream.seek(max(0, size - _FINGERPRINTED_BYTES))
        digest.update(stream.read(_FINGERPRINTED_BYTES))
    return digest.hexdigest()


class TextFile:
    """A file of records in lines: CSV, JSON lines, PEM. It begins with its first record at `offset`."""

    def __init__(
        self,
        path: Path,
        form: Format,
        *,
        delimiter: str = ",",
        offset: int = 0,
        line: int = 1,
        block: int = BLOCK_BYTES,
    ) -> None:
        self.total: int | None = path.stat().st_size
        self.fingerprint = fingerprint_of(path)
        self._path = path
        self._form = form
        self._delimiter = ord(delimiter)
        self._begin = {"offset": offset, "line": line}
        self._block = block

    def pieces(self, position: Position | None) -> Iterator[Piece]:
        start = position or self._begin
        offset, line = int(start["offset"]), int(start["line"])
        with self._path.open("rb") as stream:
            stream.seek(offset)
            data = b""
            while True:
                read = stream.read(max(self._block - len(data), min(self._block, 64 * 1024)))
                data += read
                if not data:
                    return
                end, broken = self._cut(data, at_end=not read)
                if end == 0:
                    continue
                payload, data = data[:end], data[end:]
                offset += end
                after = line + payload.count(b"\n")
                if broken and not payload.endswith(b"\n"):
                    skipped, data = _rest_of_line(stream)
                    offset, after = offset + skipped, after + 1
                yield Piece(Block(payload, line, broken), {"offset": offset, "line": after}, offset)
                line = after

    def _cut(self, data: bytes, *, at_end: bool) -> tuple[int, str]:
        """Return how much of `data` is whole records, and why the first is none. Zero: read on."""
        end = self._end_of_records(data)
        if end:
            return end, ""
        if at_end and self._end_of_records(data + b"\n") == len(data) + 1:
            return len(data), ""
        if not at_end and len(data) < MAX_RECORD_BYTES:
            return 0, ""
        # Up to the next line, so that no more than this record is lost.
        newline = data.find(b"\n")
        if self._form is Format.PEM:
            return len(data), ""  # the reader of PEM tells what is torn
        if newline < 0:
            return len(data), f"The line is longer than {MAX_RECORD_BYTES >> 20} MiB, or the file ends within it."
        return newline + 1, "A quote is opened here and never closed."

    def _end_of_records(self, data: bytes) -> int:
        match self._form:
            case Format.CSV:
                return end_of_csv_records(data, self._delimiter)
            case Format.PEM:
                end = data.rfind(b"-----END ")
                return data.find(b"\n", end) + 1 if end >= 0 else 0
            case _:
                return data.rfind(b"\n") + 1


def _rest_of_line(stream: BinaryIO) -> tuple[int, bytes]:
    """Read up to the next line; return how many bytes that were, and what was read behind them."""
    skipped = 0
    while read := stream.read(64 * 1024):
        if (end := read.find(b"\n") + 1) > 0:
            return skipped + end, read[end:]
        skipped += len(read)
    return skipped, b""


def end_of_csv_records(data: bytes, delimiter: int) -> int:
    """Return where the last whole record of `data` ends, which begins with one (RFC 4180); 0 when none does.

    As the csv module reads them: a quote opens a field only at its beginning, elsewhere it is a character.
    """
    last = at = 0
    while (quote := data.find(b'"', at)) >= 0:
        last = max(last, data.rfind(b"\n", at, quote) + 1)
        if quote and data[quote - 1] not in (delimiter, 10, 13):
            at = quote + 1
            continue
        close = data.find(b'"', quote + 1)
        while close >= 0 and data[close + 1 : close + 2] == b'"':
            close = data.find(b'"', close + 2)
        if close < 0:
            return last
        at = close + 1
    return max(last, data.rfind(b"\n", at) + 1)


class WholeFile:
    """A file that is one record, or one bundle: DER, PKCS #7."""

    def __init__(self, path: Path) -> None:
        self.total: int | None = path.stat().st_size
        if self.total > MAX_WHOLE_BYTES:
            raise SourceRefused(
                f"{path} has {self.total:,} bytes; a bundle of at most {MAX_WHOLE_BYTES >> 20} MiB is read."
            )
        self.fingerprint = fingerprint_of(path)
        self._path = path

    def pieces(self, position: Position | None) -> Iterator[Piece]:
        if position is None:
            content = self._path.read_bytes()
            yield Piece(Block(content, 1), {"offset": len(content)}, len(content))


class Archive:
    """A ZIP of certificates and small bundles. Raises SourceRefused for one that was made to do harm."""

    def __init__(self, path: Path) -> None:
        self.fingerprint = fingerprint_of(path)
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error) as error:
            raise SourceRefused(f"{path} is no ZIP that can be read: {error}") from error
        if any(member.filename == _OF_A_WORKBOOK for member in members):
            raise SourceRefused(f"{path} is a workbook of Excel or the like; save its sheet as CSV in UTF-8.")
        if len(members) > MAX_MEMBERS:
            raise SourceRefused(f"{path} has {len(members):,} members; at most {MAX_MEMBERS:,} are read.")
        for member in members:
            if member.file_size > MAX_RATIO * max(member.compress_size, 64):
                raise SourceRefused(
                    f"{member.filename!r} in {path} unpacks to over {MAX_RATIO} times its size: this looks like a bomb."
                )
        self.total: int | None = len(members)

    def pieces(self, position: Position | None) -> Iterator[Piece]:
        begin = int(position["member"]) if position else 0
        with zipfile.ZipFile(self._path) as archive:
            taken: list[tuple[int, str, bytes]] = []
            for number, member in enumerate(archive.infolist()[begin:], begin + 1):
                content = _unpacked(archive, member)
                if isinstance(content, bytes) and content:
                    taken.append((number, member.filename, content))
                refused = isinstance(content, str)
                full = len(taken) >= _MEMBERS_IN_A_BLOCK or sum(len(each) for *_, each in taken[-2:]) >= BLOCK_BYTES
                if taken and (refused or full):
                    yield _piece(taken, number - refused)
                    taken = []
                if isinstance(content, str):
                    name = member.filename.encode("utf-8", "replace")
                    yield Piece(Block(name, number, content), {"member": number}, number)
            if taken:
                yield _piece(taken, taken[-1][0])


def _piece(taken: list[tuple[int, str, bytes]], done: int) -> Piece:
    return Piece(Block(b"", taken[0][0], members=tuple(taken)), {"member": done}, done)


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | str:
    """Return the content of a member, or why it is not read. A directory is empty."""
    if member.is_dir():
        return b""
    if member.flag_bits & 1:
        return "The member is encrypted; unpack it first."
    if member.file_size > MAX_MEMBER_BYTES:
        return f"The member has {member.file_size:,} bytes; unpack it, and import it by itself."
    try:
        with archive.open(member) as stream:
            content = stream.read(MAX_MEMBER_BYTES + 1)
    except OSError as error:
        if error.errno:
            raise
        return f"The member cannot be unpacked: {error}"  # by bzip2, which says it so
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, EOFError, ValueError) as error:
        return f"The member cannot be unpacked: {error}"
    if len(content) > MAX_MEMBER_BYTES:
        return "The member is larger than the ZIP says: this looks like a bomb."
    return content
