"""The rejects file of a run: one line of CSV for each record that was not taken, safe to open in a spreadsheet."""

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings

from inventory.importing.parsing.records import Reject

# OWASP "CSV injection": a cell that begins with one of these is a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_HEADER = ("line", "reason", "original")


def directory(run_id: int) -> Path:
    """Return where the files of a run are."""
    return Path(settings.HOME) / "imports" / str(run_id)


def path_of(run_id: int) -> Path:
    return directory(run_id) / "rejects.csv"


class RejectsFile:
    """Grows with each block. What was written for a block that was not committed is cut off when it is opened again."""

    def __init__(self, run_id: int, committed: int) -> None:
        path = path_of(run_id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        self._size = committed
        os.ftruncate(self._file, committed)

    def add(self, rejects: Iterable[Reject]) -> int:
        """Write rejects to disk and return how many bytes the file has by then. Raises OSError when it cannot."""
        rows = [(reject.line, safe(reject.reason), safe(reject.original)) for reject in rejects]
        if rows:
            text = io.StringIO(newline="")
            writer = csv.writer(text)
            if self._size == 0:
                writer.writerow(_HEADER)
            writer.writerows(rows)
            self._write(text.getvalue().encode("utf-8", "backslashreplace"))
        return self._size

    def _write(self, content: bytes) -> None:
        written = 0
        while written < len(content):
            written += os.pwrite(self._file, content[written:], self._size + written)
        os.fsync(self._file)
        self._size += written

    def take_back(self, committed: int) -> None:
        """Forget what was written since `committed`: its block was not merged."""
        self._size = committed

    def close(self) -> None:
        os.close(self._file)


def safe(text: str) -> str:
    """Return text escaped so that no spreadsheet evaluates it as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
