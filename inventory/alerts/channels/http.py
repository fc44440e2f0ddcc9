"""Requests to a configured URL: with a total deadline, to permitted addresses only, without redirects."""

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


@dataclass(frozen=True)
class Answer:
    """Status, headers (names in lower case) and as much of the body as was asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotSent(Exception):
    """Nothing of the request left; the text says why, and quotes nothing of the other side."""


class NoAnswer(Exception):
    """The request, or part of it, left, and no answer came in time: the other side may have acted on it or not."""


def post(address: str, body: bytes, headers: Mapping[str, str], seconds: float = SECONDS) -> Handover:
    """Post JSON. Accepted is what the other side answers with 2xx; a redirect could lead anywhere and is not.

    Of the answer only its status is read: what else it says could be of a system that the reader may not see.
    """
    try:
        status = request("POST", address, body, {"Content-Type": "application/json", **headers}, seconds).status
    except (NotSent, NoAnswer) as problem:
        return Handover(False, str(problem)[:300])
    return Handover(True) if 200 <= status < 300 else Handover(False, f"{urlsplit(address).hostname} answered {status}")


def request(
    method: str,
    address: str,
    body: bytes,
    headers: Mapping[str, str],
    seconds: float = SECONDS,
    *,
    most_bytes: int = 0,
) -> Answer:
    """Send a request, and return the answer with at most `most_bytes` of its body. Raises NotSent, NoAnswer.

    `seconds` are for all of it: the name, the connection, TLS, the request and the answer.
    """
    ends_at = time.monotonic() + seconds
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise NotSent(f"The address is no URL of a webhook: {error}") from error
    if not host or parts.scheme not in _PORTS:
        raise NotSent(f"The address is no URL of a webhook: {parts.scheme!r} is not https.")
    sending = _Sending()
    try:
        return _exchange(method, parts, host, port, body, headers, ends_at, most_bytes, sending)
    except http.client.HTTPException as error:
        # Its text quotes what the other side said.
        raise NoAnswer(f"{host} does not answer in HTTP.") from error
    except OSError as error:
        late = time.monotonic() >= ends_at
        why = f"{host} does not answer: {f'not within {seconds:g} s' if late else error or type(error).__name__}"
        raise (NoAnswer if sending.begun else NotSent)(why) from error
    except ValueError as error:
        # A header or a path that HTTP cannot carry: it is looked at before anything is sent.
        raise NotSent(f"The address is no URL of a webhook: {error}") from error


@dataclass
class _Sending:
    """Whether bytes of a request may have left."""

    begun: bool = False


def _exchange(
    method: str,
    parts: SplitResult,
    host: str,
    port: int,
    body: bytes,
    headers: Mapping[str, str],
    ends_at: float,
    most_bytes: int,
    sending: _Sending,
) -> Answer:
    with contextlib.closing(connected(host, port, ends_at)) as plain, _cut_off_at(ends_at, plain):
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
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            given = {"Host": named if default else f"{named}:{port}", **headers, "Content-Length": str(len(body))}
            for name, value in given.items():
                connection.putheader(name, value)
            sending.begun = True
            connection.endheaders(body)
            answer = connection.getresponse()
            read = answer.read(most_bytes) if most_bytes else b""
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, read)


def connected(host: str, port: int, ends_at: float) -> socket.socket:
    """Connect to the first address of `host` that answers, of those that may be used. Raises NotSent, OSError.

    `ends_at` is in seconds of the monotonic clock.
    """
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
        raise NotSent(refused)
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
        raise NotSent(f"{host} is not found: {failed[0]}")
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
