"""Posting to webhooks: where they may lead, how long they may take, and how little of the answer is kept."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network

import pytest

from inventory.alerts.channels.destinations import why_refused
from inventory.alerts.channels.http import post


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Answer each connection on loopback by `answer`; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)
                try:
                    answer(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.fixture
def _loopback_allowed(settings) -> None:
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8")]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "a loopback address"),
        ("127.1.2.3", "a loopback address"),
        ("::1", "a loopback address"),
        ("::ffff:127.0.0.1", "a loopback address"),
        ("2002:7f00:1::", "a loopback address"),
        ("64:ff9b::7f00:1", "a loopback address"),
        ("0.0.0.0", "unspecified"),  # noqa: S104  (refused, not bound)
        ("::", "unspecified"),
        ("169.254.169.254", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%2", "link-local"),
        ("fd00:ec2::254", "an address of instance metadata"),
        ("100.100.100.200", "an address of instance metadata"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("10.1.2.3", ""),
        ("192.168.1.1", ""),
        ("2001:4860:4860::8888", ""),
        ("93.184.215.14", ""),
    ],
)
def test_where_a_webhook_may_lead(address, why):
    assert why_refused(address, []) == why


def test_a_network_that_the_setting_names_is_open_and_its_neighbours_are_not():
    allowed = [ip_network("127.0.0.0/8"), ip_network("169.254.10.0/24")]
    assert why_refused("127.0.0.1", allowed) == why_refused("169.254.10.7", allowed) == ""
    assert why_refused("169.254.169.254", allowed) == "link-local"


_HERE = ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0.0.0.0"]  # noqa: S104  (refused)


@pytest.mark.parametrize("host", _HERE)
def test_this_machine_is_not_connected_by_whatever_name(settings, host):
    settings.WEBHOOK_NETWORKS = []
    connected: list[socket.socket] = []
    with server(connected.append) as port:
        outcome = post(f"http://{host}:{port}/", b"{}", {})
    assert not outcome.accepted
    assert "CERTPORTAL_WEBHOOK_NETWORKS" in outcome.problem
    assert connected == []


def test_the_address_that_was_checked_is_the_one_connected(settings, monkeypatch):
    """A name server that answers differently the second time (DNS rebinding) is not asked a second time."""
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.1/32")]
    asked = []

    def look_up(host, port, **_how):
        asked.append(host)
        here = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (here, port))]

    with server(lambda wire: wire.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")) as port:
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        assert post(f"http://rebinding.example:{port}/", b"{}", {}).accepted
    assert asked == ["rebinding.example"]


@pytest.mark.usefixtures("_loopback_allowed")
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("dripped", [b"H", b""])
def test_a_server_that_drips_or_says_nothing_is_left_after_the_deadline_for_everything(scheme, dripped):
    over = threading.Event()

    def drip(wire: socket.socket) -> None:
        while not over.wait(0.02):
            wire.sendall(dripped)

    with server(drip) as port:
        began = time.monotonic()
        outcome = post(f"{scheme}://127.0.0.1:{port}/", b"{}", {}, seconds=0.4)
        took = time.monotonic() - began
        over.set()
    assert not outcome.accepted
    assert took < 20  # without a deadline it would drip for ever


@pytest.mark.usefixtures("_loopback_allowed")
@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 403 root:x:0:0 secret\r\nX-Secret: secret\r\nContent-Length: 6\r\n\r\nsecret",
        b"220 secret mail server\r\n",
        b"HTTP/1.1 999999999999 secret\r\n\r\n",
    ],
)
def test_nothing_of_an_answer_is_kept_but_its_status(said):
    with server(lambda wire: wire.sendall(said)) as port:
        outcome = post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert not outcome.accepted
    assert outcome.problem in {"127.0.0.1 answered 403", "127.0.0.1 does not answer in HTTP."}
