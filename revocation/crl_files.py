"""Where published CRLs are, and how one takes the place of another without ever being half there."""

import mmap
import os
from pathlib import Path

from django.conf import settings

from inventory.x509.der import DerError
from revocation.crl import Head, read_head
from revocation.scopes import Scope


def path(scope: Scope) -> Path:
    """Return where the CRL of `scope` is served from. A web server may serve the directory as it is."""
    return Path(settings.HOME, "crl", scope.authority, f"{scope.name}.crl")


def served_head(scope: Scope) -> Head | None:
    """Return what the CRL in place says about itself; None when there is none, or none that can be read."""
    try:
        with path(scope).open("rb") as stream:
            return head(stream.fileno())
    except (FileNotFoundError, DerError):
        return None


def head(descriptor: int) -> Head:
    """Return what an open CRL says about itself, touching two pages of it. Raises DerError."""
    if os.fstat(descriptor).st_size == 0:
        raise DerError("The file is empty.")
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as contents:
        return read_head(contents)


def _draft(scope: Scope) -> Path:
    return path(scope).with_name(f".{scope.name}.crl.draft")


def write_draft(scope: Scope, crl: bytes) -> None:
    """Put `crl` safely on disk beside the one in place. What an earlier crash left there is written over."""
    draft = _draft(scope)
    draft.parent.mkdir(parents=True, exist_ok=True)
    with draft.open("wb") as stream:
        stream.write(crl)
        stream.flush()
        os.fsync(stream.fileno())


def put_draft_in_place(scope: Scope) -> None:
    """Serve the draft from now on: readers see the old file or the new one, and so does a machine that lost power."""
    _draft(scope).replace(path(scope))
    directory = os.open(path(scope).parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
