"""Where the embedded stores put their sockets."""

import hashlib
import os
import stat
from pathlib import Path

from certportal.launch import CannotStart, Identity

# sun_path holds 108 bytes with its end mark; the longest name below a directory is PostgreSQL's lock file.
_LONGEST_SOCKET_PATH = 107
_LONGEST_NAME = len("/.s.PGSQL.5432.lock")

# Not tempfile.gettempdir(): every process that knows the home must find the sockets, whatever its TMPDIR says.
_SHORT_ROOT = Path("/tmp")  # noqa: S108


class SocketDirectoryRefused(CannotStart):
    """The short directory, for a home whose path is too long, belongs to somebody else; the text names it."""


def socket_directory(home: Path, store: str) -> Path:
    """Return the socket directory of `store`: inside `home`, or a short one outside when that path cannot serve.

    The short directory is named after the home, so every process that knows the home finds it. Raise
    `SocketDirectoryRefused` when it exists and is not ours: whoever made it would receive our queries.
    """
    inside = home / "run" / store
    # PostgreSQL's clients take a comma for the start of another host.
    if len(str(inside).encode()) + _LONGEST_NAME <= _LONGEST_SOCKET_PATH and "," not in str(inside):
        return inside
    digest = hashlib.sha256(str(home).encode()).hexdigest()[:16]
    short = _SHORT_ROOT / f"certportal-{digest}"
    _refuse_if_foreign(short)
    return short / store


def make_socket_directory(home: Path, store: str, identity: Identity | None) -> Path:
    """Make the socket directory of `store` for a server that runs as `identity`, and return it.

    Raise `SocketDirectoryRefused` as `socket_directory` does.
    """
    directory = socket_directory(home, store)
    # A server of root's that runs as another user must pass through the parent to reach its own.
    parent_mode = 0o711 if identity else 0o700
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_if_foreign(directory.parent)
    directory.parent.chmod(parent_mode)
    directory.mkdir(mode=0o700, exist_ok=True)
    if identity is not None:
        os.chown(directory, identity.uid, identity.gid)
    return directory


def _refuse_if_foreign(directory: Path) -> None:
    try:
        status = directory.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise SocketDirectoryRefused(
            f"{directory} must be a directory of our own that nobody else can write to, and it is not. "
            "Remove it, or set CERTPORTAL_HOME to a shorter path so that it is not needed."
        )
