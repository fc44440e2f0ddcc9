"""Secrets that the portal makes for itself on first start and keeps in its home."""

import os
import secrets
from pathlib import Path


def generated_secret(path: Path) -> str:
    """Return the secret kept at `path`, made (mode 0600) by the first caller.

    Two processes may start at once: the file is linked into place whole, the loser reads the winner's.
    """
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(secrets.token_urlsafe(32) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()
