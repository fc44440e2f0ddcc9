"""Following a log file across rotation, truncation and restarts. Each whole line is delivered at least once."""

import glob
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import structlog

from inventory.private_files import write_whole

log = structlog.get_logger(__name__)

_MOST_BYTES = 1 << 20
_HEAD_BYTES = 256
# Writers keep using a renamed file until told to reopen.
_EMPTY_READS_BEFORE_THE_NEXT = 5
_COMPRESSED = {".gz", ".bz2", ".xz", ".zst"}


@dataclass(frozen=True)
class Position:
    """How far a log was read. `head`, a digest of its first bytes, tells it from a later file with the same inode."""

    inode: int
    offset: int
    head: str
    head_length: int


class LogTail:
    """Reads `path` from the position stored in the file `state`; `keep` stores the current position."""

    def __init__(self, path: Path, state: Path) -> None:
        self._path = path
        self._state = state
        self._empty_reads = 0
        self._file, self._offset = self._where_it_was_left()

    def close(self) -> None:
        self._file.close()

    @property
    def drained(self) -> bool:
        """Whether the last read found nothing and there is no newer file to go on with."""
        return self._empty_reads > 0 and self._next() is None

    def read(self) -> list[str]:
        """Return the whole lines that were added, at most a megabyte of them. A line without its end waits for it."""
        chunk = self._chunk()
        end = chunk.rfind(b"\n") + 1
        if not end and len(chunk) == _MOST_BYTES:
            # No log line is that long; what follows of it is read as a line that says nothing.
            end = len(chunk)
        if end:
            self._offset += end
            self._empty_reads = 0
            return chunk[:end].decode(errors="replace").splitlines()
        self._empty_reads += 1
        following = self._next()
        if following is not None and self._empty_reads > _EMPTY_READS_BEFORE_THE_NEXT:
            self._file.close()
            self._file, self._offset, self._empty_reads = following.open("rb"), 0, 0
        return []

    def keep(self) -> None:
        """Write down how far the file was read. Call it once what was read is committed."""
        length = min(self._offset, _HEAD_BYTES)
        position = Position(os.fstat(self._file.fileno()).st_ino, self._offset, _head(self._file, length), length)
        write_whole(self._state, json.dumps(asdict(position)).encode())

    def _chunk(self) -> bytes:
        if os.fstat(self._file.fileno()).st_size < self._offset:
            log.info("log was truncated; reading it from its beginning", path=str(self._path))
            self._offset = 0
        self._file.seek(self._offset)
        return self._file.read(_MOST_BYTES)

    def _where_it_was_left(self) -> tuple[BinaryIO, int]:
        kept = self._kept()
        for candidate in self._generations() if kept else ():
            file = candidate.open("rb")
            if kept and os.fstat(file.fileno()).st_ino == kept.inode and _head(file, kept.head_length) == kept.head:
                return file, kept.offset
            file.close()
        if kept:
            log.warning("the log that was read last is gone; reading the present one whole", path=str(self._path))
        return self._path.open("rb"), 0

    def _kept(self) -> Position | None:
        try:
            return Position(**json.loads(self._state.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            log.warning("position cannot be read; reading the log whole", state=str(self._state))
            return None

    def _next(self) -> Path | None:
        """Return the file that was written after the one that is open, None while that is the newest."""
        now = os.fstat(self._file.fileno())
        later = [
            (found.st_mtime_ns, path)
            for path in self._generations()
            if (found := path.stat()).st_ino != now.st_ino
            and (path == self._path or found.st_mtime_ns > now.st_mtime_ns)
        ]
        return min(later)[1] if later and not self._is_present(now.st_ino) else None

    def _is_present(self, inode: int) -> bool:
        try:
            return self._path.stat().st_ino == inode
        except FileNotFoundError:
            return True

    def _generations(self) -> Iterator[Path]:
        """Yield the log and what it was rotated to, as long as that is not compressed."""
        if self._path.exists():
            yield self._path
        for path in self._path.parent.glob(f"{glob.escape(self._path.name)}[.-]*"):
            if path.suffix not in _COMPRESSED and path.is_file():
                yield path


def state_file(home: Path, log_file: Path) -> Path:
    """Return where the position in `log_file` is kept; makes the directory."""
    directory = home / "sightings"
    directory.mkdir(mode=0o700, exist_ok=True)
    digest = hashlib.sha256(os.fsencode(log_file.absolute())).hexdigest()
    return directory / f"{digest[:16]}.json"


def _head(file: BinaryIO, length: int) -> str:
    file.seek(0)
    return hashlib.sha256(file.read(length)).hexdigest()
