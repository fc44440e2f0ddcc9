"""Room on the portal's disk: what stays free for the database, whatever people upload."""

import shutil
from pathlib import Path

# PostgreSQL stops when it cannot write its log, and bulk work needs some of it.
RESERVE = 1 << 30


def free(directory: Path) -> int:
    """Return how many bytes can still be written below `directory`, or below the nearest parent that exists."""
    existing = next(parent for parent in (directory, *directory.parents) if parent.exists())
    return shutil.disk_usage(existing).free
