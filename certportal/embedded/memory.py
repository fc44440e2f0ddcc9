"""How much memory this machine, or the container that we run in, has."""

import os
from pathlib import Path

# Of cgroup v2, as a container sees its own.
_LIMIT = Path("/sys/fs/cgroup/memory.max")


def available_bytes(limit: Path = _LIMIT) -> int:
    """Return the memory that there is, or may be used where a limit is set."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(physical, int(limit.read_text()))
    except (OSError, ValueError):  # no such file, or the word "max"
        return physical
