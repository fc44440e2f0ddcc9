"""Secrets that the portal makes for itself on first start and keeps in its home."""

import contextlib
import secrets
from pathlib import Path

from inventory.private_files import write_once

# As long as Django wants its secret key: more than any attack on the others needs.
_OCTETS = 48


def generated_secret(path: Path, octets: int = _OCTETS) -> str:
    """Return the secret kept at `path`, made of random octets by the first caller; others, even at once, read it."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            write_once(path, f"{secrets.token_urlsafe(octets)}\n".encode())
    return path.read_text().strip()
