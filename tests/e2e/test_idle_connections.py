"""Clients that connect and then do nothing: 900 of a kind, and the next device is served as if they were not there."""

import base64
import contextlib
import resource
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from tests.e2e.lab import LabDevice
from tests.e2e.running_portal import RunningPortal
from tests.e2e.tls_session import ask, client_context, connect

_MANY = 900
_MOST_SECONDS = 1.0
_REENROL = "/.well-known/est/demo/simplereenroll"
_SLOW_POST = (
    b"POST /.well-known/est/demo/simpleenroll HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/pkcs10\r\nContent-Length: 500\r\n\r\nMII"
)

Connection = socket.socket
Idler = Callable[[RunningPortal, ssl.SSLContext], Connection]


def _plain(portal: RunningPortal) -> socket.socket:
    return socket.create_connection(portal.device_address, timeout=30)


def silent(portal: RunningPortal, _context: ssl.SSLContext) -> Connection:
    return _plain(portal)


def half_a_client_hello(portal: RunningPortal, context: ssl.SSLContext) -> Connection:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    hello = outgoing.read()
    connection = _plain(portal)
    connection.sendall(hello[: len(hello) // 2])
    return connection


def after_the_handshake(portal: RunningPortal, context: ssl.SSLContext) -> Connection:
    return connect(portal, context)


def slow_post(portal: RunningPortal, context: ssl.SSLContext) -> Connection:
    connection = connect(portal, context)
    connection.sendall(_SLOW_POST)
    return connection


@pytest.fixture
def idle(portal) -> Iterator[Callable[[Idler], None]]:
    """Open many connections of a kind, and close them after the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * _MANY)), hard))
    context = client_context(portal)
    with contextlib.ExitStack() as opened:

        def open_many(idler: Idler) -> None:
            for _ in range(_MANY):
                opened.enter_context(idler(portal, context))

        yield open_many
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def renewal_seconds(portal: RunningPortal, meter: LabDevice) -> float:
    """Return how long a renewal takes, from the connection to the answer."""
    context, request = client_context(portal, meter), meter.renewal_request()
    body = base64.b64encode(request)
    started = time.monotonic()
    with connect(portal, context) as connection:
        reply = ask(connection, "POST", _REENROL, body)
    taken = time.monotonic() - started
    assert reply.status == 200, reply.body
    return taken


@pytest.mark.parametrize("idler", [silent, half_a_client_hello, after_the_handshake, slow_post])
def test_idle_clients_do_not_delay_a_renewal(portal, meter, idle, _unused_meters, idler):
    without = renewal_seconds(portal, next(_unused_meters))
    idle(idler)
    # The best of three: other work on the machine may hold up one of them, idle clients would hold up all.
    with_them = min(renewal_seconds(portal, each) for each in (meter, *islice(_unused_meters, 2)))
    assert with_them < _MOST_SECONDS, f"{with_them:.2f} s with {_MANY} idle clients, {without:.2f} s without"
