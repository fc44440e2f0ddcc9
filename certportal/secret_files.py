"""Secrets that the portal makes for itself on first start and keeps in its home."""

import contextlib
import secrets
from pathlib import Path

from inventory.private_files import write_once


def generated_secret(path: Path) -> str:
    """Return the secret kept at `path`, made by the first caller; others, even at the same time, read it."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            write_once(path, f"{secrets.token_urlsafe(48)}\n".encode())
    return path.read_text().strip()
