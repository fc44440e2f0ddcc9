"""How a child process starts: as whom, in a session of its own, and never outliving the process that started it."""

import ctypes
import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_PR_SET_CHILD_SUBREAPER = 36
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522

# Loaded once, before any fork: a child between fork and exec must not search for libraries.
_libc = ctypes.CDLL(None, use_errno=True)


class CannotStart(Exception):
    """A child cannot be started as things are; the text says why and what to do."""


@dataclass(frozen=True)
class Identity:
    """The unprivileged user that a server started by root runs as.

    `through_closed_directories` keeps one capability for it: a checkout below root's own 0700 directories could
    otherwise not be entered, and opening those directories to everyone is worse.
    """

    uid: int
    gid: int
    through_closed_directories: bool = False


def unprivileged_identity(*paths: Path) -> Identity | None:
    """Return whom a server that works in `paths` must run as: None, ourselves, unless we are root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Identity(nobody.pw_uid, nobody.pw_gid, through_closed_directories=not all(map(_open_to_others, paths)))


def _open_to_others(path: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)


def start(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    death_signal: signal.Signals = signal.SIGTERM,
    directory: Path = Path("/"),
    identity: Identity | None = None,
    output: int | None = None,
    errors: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start `argv` as the leader of a new session; it gets `death_signal` when this process dies, however it dies.

    `output` and `errors` are the descriptors that receive its output streams; None leaves it ours.
    """
    return subprocess.Popen(  # noqa: S603  (our own programs, never a shell)
        argv,
        env=environment,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
        preexec_fn=_preparation(identity, death_signal),
    )


def run(argv: Sequence[str], *, identity: Identity | None, stdin: str = "") -> None:
    """Run a store's short-lived tool to its end, as `identity`; raise `CannotStart` with its words when it fails."""
    done = subprocess.run(  # noqa: S603  (our own programs, never a shell)
        argv,
        env=minimal_environment(),
        cwd="/",
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=_preparation(identity, signal.SIGKILL),
    )
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip() or "it said nothing"
        raise CannotStart(f"{Path(argv[0]).name} failed with code {done.returncode}: {words}")


def minimal_environment() -> dict[str, str]:
    """Return the environment of a store: nothing of ours, which holds passphrases."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, so that none is lost from sight."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _preparation(identity: Identity | None, death_signal: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()

    def prepare() -> None:
        if identity is not None:
            _become(identity)
        # After the change of user, which clears it.
        _prctl(_PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # it died before we asked to be told
            os._exit(1)

    return prepare


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapabilitySet(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def _become(identity: Identity) -> None:
    os.setgroups([])
    os.setgid(identity.gid)
    if not identity.through_closed_directories:
        os.setuid(identity.uid)
        return
    # Keeps capabilities over the change of user, and makes access(2), by which initdb looks at its binaries, heed them.
    _prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
    os.setuid(identity.uid)
    bit = 1 << _CAP_DAC_OVERRIDE
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    # The kernel takes two sets, for capabilities 0-31 and 32-63.
    sets = (_CapabilitySet * 2)(_CapabilitySet(bit, bit, bit), _CapabilitySet(0, 0, 0))
    if _libc.capset(ctypes.byref(header), sets) != 0:
        raise OSError(ctypes.get_errno(), "cannot keep CAP_DAC_OVERRIDE")
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE)


def _prctl(option: int, *arguments: int) -> None:
    if sys.platform != "linux":
        return
    words = [ctypes.c_ulong(word) for word in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *words) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")
