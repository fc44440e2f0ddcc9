"""Sending JSON to a configured URL: with a total deadline, to permitted addresses only, without redirects."""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from inventory.alerts.channels.destinations import why_refused
from inventory.alerts.channels.messages import Handover

# For all of it: the name, the connection, TLS, the request and the head of the answer.
SECONDS = 10.0
# Family, kind, protocol, canonical name and socket address, as getaddrinfo(3) gives them.
_Resolved = tuple[int, int, int, str, tuple[Any, ...]]
_PORTS = {"https": 443, "http": 80}


class _Unreachable(Exception):
    """The address may not be used, or leads nowhere; the text says why."""


@dataclass(frozen=True)
class Answer:
    """What the other side answered, or why nothing came: then `status` is None, and the request may have arrived."""

    status: int | None
    body: bytes = b""
    problem: str = ""

    @property
    def accepted(self) -> bool:
        """Whether it is a 2xx: a redirect could lead anywhere and is not."""
        return self.status is not None and 200 <= self.status < 300


def post(address: str, body: bytes, headers: Mapping[str, str], seconds: float = SECONDS) -> Handover:
    """Post `body`. Accepted is what the other side answers with 2xx.

    Of the answer only its status is read: what else it says could be of a system that the reader may not see.
    """
    answer = ask("POST", address, body, headers, most=0, seconds=seconds)
    return Handover(answer.accepted, answer.problem)


def ask(
    method: str, address: str, body: bytes | None, headers: Mapping[str, str], *, most: int, seconds: float = SECONDS
) -> Answer:
    """Send a request and return the answer with the first `most` bytes of its body. Never raises for the other side."""
    ends_at = time.monotonic() + seconds
    host = ""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
        if not host or not port:
            return Answer(None, problem=f"The address is no URL of a webhook: {parts.scheme!r} is not https."[:300])
        status, said = _exchange(method, parts, host, port, body, headers, most, ends_at)
    except _Unreachable as problem:
        return Answer(None, problem=str(problem)[:300])
    except http.client.HTTPException:
        # Its text quotes what the other side said.
        return Answer(None, problem=f"{host} does not answer in HTTP."[:300])
    except OSError as error:
        late = time.monotonic() >= ends_at
        why = f"not within {seconds:g} s" if late else error or type(error).__name__
        return Answer(None, problem=f"{host} does not answer: {why}"[:300])
    except ValueError as error:
        return Answer(None, problem=f"The address is no URL of a webhook: {error}"[:300])
    return Answer(status, said, "" if 200 <= status < 300 else f"{host} answered {status}")


def _exchange(
    method: str,
    parts: SplitResult,
    host: str,
    port: int,
    body: bytes | None,
    headers: Mapping[str, str],
    most: int,
    ends_at: float,
) -> tuple[int, bytes]:
    with contextlib.closing(_connect(host, port, ends_at)) as plain, _cut_off_at(ends_at, plain):
        wire = plain
        if parts.scheme == "https":
            wire = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        with wire:
            connection = http.client.HTTPConnection(host, port)
            # Connected already, to the very address that was checked: its name is not looked up a second time.
            connection.sock = wire
            target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
            default = _PORTS[parts.scheme] == port
            named = f"[{host}]" if ":" in host else host
            given = {"Host": named if default else f"{named}:{port}", "Content-Type": "application/json", **headers}
            connection.request(method, target, body, given)
            answer = connection.getresponse()
            return answer.status, answer.read(most) if most else b""


def _connect(host: str, port: int, ends_at: float) -> socket.socket:
    """Connect to the first address of `host` that answers, of those that may be used. Raises _Unreachable, OSError."""
    refused, failed = "", OSError("it has no address")
    for family, kind, protocol, _name, where in _resolved(host, port, ends_at):
        why = why_refused(str(where[0]), settings.WEBHOOK_NETWORKS)
        if why:
            refused = (
                f"{host} leads to {where[0]}, which is {why}: allow it by CERTPORTAL_WEBHOOK_NETWORKS if it is meant."
            )
            continue
        wire = socket.socket(family, kind, protocol)
        try:
            wire.settimeout(max(ends_at - time.monotonic(), 0.001))
            wire.connect(where)
        except OSError as error:
            wire.close()
            failed = error
        else:
            return wire
    if refused:
        raise _Unreachable(refused)
    raise failed


def _resolved(host: str, port: int, ends_at: float) -> list[_Resolved]:
    """Return the addresses of `host`, within the time left: the resolver itself knows no deadline."""
    found: list[list[_Resolved]] = []
    failed: list[Exception] = []

    def look_up() -> None:
        try:
            found.append([*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
        except (OSError, UnicodeError) as error:
            failed.append(error)

    resolver = threading.Thread(target=look_up, daemon=True)
    resolver.start()
    resolver.join(max(ends_at - time.monotonic(), 0.001))
    if failed:
        raise _Unreachable(f"{host} is not found: {failed[0]}")
    if not found:
        raise TimeoutError("its name was not found in time")
    return found[0]


@contextlib.contextmanager
def _cut_off_at(ends_at: float, wire: socket.socket) -> Iterator[None]:
    """End the connection at `ends_at`, whatever happens on it: a timeout of a socket begins anew with each byte."""
    # A descriptor of its own: TLS takes the other one over.
    same = wire.dup()

    def cut() -> None:
        with contextlib.suppress(OSError):  # it ended by itself
            same.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(ends_at - time.monotonic(), 0.001), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        same.close()
