import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from renewal.channels.mqtt import Broker
from tests.e2e.peers import peer
from tests.e2e.ports import free_ports


@pytest.fixture
def loopback(settings) -> None:
    """Gateways of tests are on this machine."""
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8")]


@pytest.fixture
def broker(tmp_path) -> Iterator[Broker]:
    """A real Mosquitto, which tells all it does in `mosquitto.log` of the test's directory."""
    [port] = free_ports(1)
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n"
        f"log_type all\nlog_dest file {tmp_path}/mosquitto.log\n"
    )
    process = subprocess.Popen([peer("mosquitto"), "-c", str(configuration)])
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            assert time.monotonic() < deadline, "Mosquitto did not start."
            time.sleep(0.05)
        yield Broker("127.0.0.1", port, tls=False, username=None, password=None)
    finally:
        process.terminate()
        process.wait(timeout=60)
