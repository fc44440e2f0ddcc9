"""The portal's home: the one directory it writes to, and the one supervisor that may run on it."""

import contextlib
import fcntl
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from certportal.launch import CannotStart


class HomeRefused(CannotStart):
    """The home cannot be used; the text says why and what to do."""


def prepare(home: Path) -> None:
    """Make `home` with its mode: 0700, or 0711 for root, whose database runs as another user and must pass through.

    Raise `HomeRefused` when it belongs to somebody else: the files that we would add could not be read by its owner.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = home.stat().st_uid
    if owner != os.geteuid():
        raise HomeRefused(
            f"{home} belongs to user {_user_name(owner)}, this process runs as {_user_name(os.geteuid())}. "
            "Start as its owner, or set CERTPORTAL_HOME to another directory."
        )
    home.chmod(0o711 if owner == 0 else 0o700)
    (home / "log").mkdir(mode=0o700, exist_ok=True)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@contextlib.contextmanager
def held(home: Path) -> Iterator[bool]:
    """Hold `home` for this process alone; raise `HomeRefused` when another supervisor runs on it.

    Yields whether the last holder ended without giving it back: what it started may still be on its way out.
    """
    with (home / "supervisor.lock").open("a+") as lock:
        lock.seek(0)
        holder = lock.read().strip()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeRefused(
                f"certportal already runs on {home} (process {holder or 'unknown'}). "
                "Stop it first, or set CERTPORTAL_HOME to another directory."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        try:
            yield bool(holder)
        finally:
            lock.truncate(0)
