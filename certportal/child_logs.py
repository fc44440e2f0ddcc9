"""Log files of the supervised children: appended to by the children themselves, kept small by the supervisor."""

import os
import shutil
from pathlib import Path

LARGEST = 20 * 1024 * 1024


def open_for_append(path: Path) -> int:
    """Return a descriptor that appends to `path` (mode 0600), to be handed to a child and closed by the caller."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def rotate_when_large(path: Path, largest: int = LARGEST) -> None:
    """Move what `path` holds to `path`.1 once it is larger than `largest`.

    The file is copied and emptied, not renamed: children keep their descriptor, so no pipe and no reopening stands
    between them and their log. A line written between the last byte copied and the cut is lost.
    """
    try:
        if path.stat().st_size <= largest:
            return
    except FileNotFoundError:
        return
    old = path.with_name(f"{path.name}.1")
    with path.open("rb") as source, os.fdopen(os.open(old, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as copy:
        shutil.copyfileobj(source, copy)
        os.truncate(path, 0)


def last_lines(path: Path, count: int) -> list[str]:
    """Return up to `count` of the last lines of `path`, none when there is no such file."""
    try:
        with path.open("rb") as source:
            source.seek(max(0, path.stat().st_size - 16_384))
            return source.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
