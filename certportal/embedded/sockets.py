"""Where the embedded stores put their sockets."""

import hashlib
import tempfile
from pathlib import Path

# sun_path holds 108 bytes with its end mark; the longest name below a directory is PostgreSQL's lock file.
_LONGEST_SOCKET_PATH = 107
_LONGEST_NAME = len("/.s.PGSQL.5432.lock")


def socket_directory(home: Path, store: str) -> Path:
    """Return the socket directory of `store`: inside `home`, or a short one outside when the path would not fit.

    The short directory is named after the home, so every process that knows the home finds it.
    """
    inside = home / "run" / store
    if len(str(inside).encode()) + _LONGEST_NAME <= _LONGEST_SOCKET_PATH:
        return inside
    digest = hashlib.sha256(str(home).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"certportal-{digest}" / store
