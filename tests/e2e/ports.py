"""Ports for what tests start: no connection takes one between its choice and its use, nor a test process beside."""

import contextlib
import os
import random
import socket

# Below those that Linux gives to connections.
_PORTS = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nothing listens, of those that are this test process's own."""
    own, free = _own(), list[int]()
    for port in random.sample(own, len(own)):
        if len(free) == count:
            break
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            free.append(port)
    assert len(free) == count, f"{len(free)} of {count} ports are free"
    return free


def _own() -> range:
    """Return the part of the ports that pytest-xdist's worker has, or all of them outside of one."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    # A worker that takes the place of a crashed one has a number beyond their count.
    return _PORTS[number % workers :: workers]
