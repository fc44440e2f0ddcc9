"""Files that only the portal's own user may read, written whole or not at all."""

import os
import secrets
from pathlib import Path


def write_draft(path: Path, content: bytes) -> Path:
    """Write `content` (mode 0600, synced to disk) to a new file beside `path` and return it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        draft.unlink()
        raise
    return draft


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file at `path` atomically: readers see the old content or the new."""
    draft = write_draft(path, content)
    try:
        draft.replace(path)
    except OSError:
        draft.unlink()
        raise
    _sync_directory(path.parent)


def write_once(path: Path, content: bytes) -> None:
    """Create the file at `path` atomically. Raises FileExistsError if there is one; of two writers one wins."""
    draft = write_draft(path, content)
    try:
        os.link(draft, path)
    finally:
        draft.unlink()
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """Bring the name of a file to disk: its bytes alone do not survive a power cut under a name that was not synced."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
