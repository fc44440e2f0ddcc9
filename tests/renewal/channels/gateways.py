"""Gateways for tests: rows, messages, and HTTP gateways on loopback that behave as they are told."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

from renewal.channels.messages import TriggerMessage
from renewal.channels.sealing import sealed
from renewal.models import Attempt, AttemptOutcome, Channel, Driver, Gateway
from tests.factories import NOW
from tests.renewal.rows import campaign_with_targets, meters

HOUR = timedelta(hours=1)
SECRET = "s3cr3t-of-the-gateway"


def message(attempt: int = 1, address: str = "+31612345678", **changes: Any) -> TriggerMessage:
    values: dict[str, Any] = {
        "attempt": attempt,
        "fleet": "demo",
        "device": f"M{attempt:04}",
        "address": address,
        "campaign": 7,
        "renew_before": "2027-03-31T12:00:00+00:00",
        "est_url": "https://est.example/demo",
        "valid_until": NOW + 24 * HOUR,
    }
    return TriggerMessage(**values | changes)


def gateway(driver: Driver = Driver.CONSOLE, **changes: Any) -> Gateway:
    values: dict[str, Any] = {
        "name": f"gateway {driver.value}",
        "driver": driver,
        "channel": driver.channel,
        "enabled": True,
        "sealed_secret": sealed(SECRET),
    }
    return Gateway.objects.create(**values | changes)


def attempts(
    number: int, *, outcome: AttemptOutcome = AttemptOutcome.CLAIMED, channel: Channel = Channel.SMS
) -> list[Attempt]:
    """Return an attempt each for so many devices of one campaign."""
    targets = campaign_with_targets(meters(number))
    return Attempt.objects.bulk_create(
        [Attempt(target=target, number=1, channel=channel, at=NOW, outcome=outcome) for target in targets]
    )


@dataclass
class Request:
    """What an HTTP gateway was asked."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass
class HttpServer:
    """Where it listens and what it was asked so far."""

    port: int
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def answered(status: int, body: bytes = b"", *headers: str) -> bytes:
    head = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status} X\r\n{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


@contextmanager
def http_server(answer: Callable[[Request, socket.socket], bytes | None]) -> Iterator[HttpServer]:
    """Answer each request by `answer`; what returns None has done so itself, or not at all."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    server = HttpServer(listener.getsockname()[1])
    threads: list[threading.Thread] = []

    def serve(wire: socket.socket) -> None:
        with wire, wire.makefile("rb") as stream:
            line = stream.readline().decode().strip()
            headers = {}
            while header := stream.readline().decode().strip():
                name, _colon, value = header.partition(": ")
                headers[name] = value
            request = Request(line, headers, stream.read(int(headers.get("Content-Length", 0))))
            server.requests.append(request)
            try:
                if (said := answer(request, wire)) is not None:
                    wire.sendall(said)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                wire, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(wire,), daemon=True))
            threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        for thread in threads:
            thread.join(timeout=60)
