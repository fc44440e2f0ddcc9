"""A real Mosquitto on a loopback port, with room for a message to each of millions of devices that sleep."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_SECONDS_TO_START = 60


def is_installed() -> bool:
    return shutil.which("mosquitto") is not None


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Run it, and yield its address as `MQTT_URL` has it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        configuration = Path(directory) / "mosquitto.conf"
        configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_type error\n")
        with subprocess.Popen(["mosquitto", "-c", str(configuration)]) as process:
            try:
                _wait_for(port)
                yield f"mqtt://127.0.0.1:{port}"
            finally:
                process.terminate()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
