"""Files of published CRLs. They are replaced atomically."""

import mmap
import os
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from inventory.x509.der import DerError
from revocation.crl import Entry, Head, read_first, read_head
from revocation.scopes import Scope


def path(scope: Scope) -> Path:
    """Return where the CRL of `scope` is served from. A web server may serve the directory as it is."""
    return Path(settings.HOME, "crl", scope.authority, f"{scope.name}.crl")


def served_head(scope: Scope) -> Head | None:
    """Return number and dates of the served CRL; None if there is none that can be read."""
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


def opened(scope: Scope, number: int) -> BinaryIO | None:
    """Open the served CRL of this number. None: another is in place, or none that can be read. The caller closes it."""
    try:
        stream = path(scope).open("rb")
    except FileNotFoundError:
        return None
    try:
        if head(stream.fileno()).number == number:
            return stream
    except DerError:
        pass
    stream.close()
    return None


def first_entries(descriptor: int, most: int) -> list[Entry]:
    """Return the first entries of an open CRL, touching only the pages where they stand. Raises DerError."""
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as contents:
        return read_first(contents, most)


def _draft(scope: Scope) -> Path:
    return path(scope).with_name(f".{scope.name}.crl.draft")


def write_draft(scope: Scope, crl: bytes) -> None:
    """Write `crl`, synced to disk, beside the served file. A draft left by a crash is overwritten."""
    draft = _draft(scope)
    draft.parent.mkdir(parents=True, exist_ok=True)
    with draft.open("wb") as stream:
        stream.write(crl)
        stream.flush()
        os.fsync(stream.fileno())


def put_draft_in_place(scope: Scope) -> None:
    """Replace the served file by the draft, atomically and durably."""
    _draft(scope).replace(path(scope))
    directory = os.open(path(scope).parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
