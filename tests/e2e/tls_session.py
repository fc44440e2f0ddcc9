"""TLS connections to the device plane in the hands of a test, down to single bytes."""

import http.client
import socket
import ssl
from dataclasses import dataclass

from tests.e2e.lab import LabDevice
from tests.e2e.running_portal import RunningPortal

SECONDS = 20


def client_context(portal: RunningPortal, device: LabDevice | None = None) -> ssl.SSLContext:
    """Return a context that trusts the portal's root and shows the certificate of `device`."""
    context = ssl.create_default_context(cafile=str(portal.root))
    if device is not None:
        context.load_cert_chain(device.certificate, device.key)
    return context


def connect(portal: RunningPortal, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    """Return a connection whose handshake is done, resumed from `session` when the server agrees."""
    plain = socket.create_connection(portal.device_address, timeout=SECONDS)
    return context.wrap_socket(plain, server_hostname="127.0.0.1", session=session)


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes


def ask(connection: ssl.SSLSocket, method: str, path: str, body: bytes | None = None) -> Reply:
    """Send one request over an open connection; it stays open."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
    if body is not None:
        head += f"Content-Type: application/pkcs10\r\nContent-Length: {len(body)}\r\n"
    connection.sendall(f"{head}\r\n".encode() + (body or b""))
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return Reply(response.status, response.read())


def exchange(connection: ssl.SSLSocket, sent: bytes) -> bytes:
    """Send bytes and return all that comes back until the server closes the connection."""
    connection.sendall(sent)
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except (ConnectionResetError, ssl.SSLEOFError):
        # Refused so firmly that what we still sent was not read; what was answered before counts.
        pass
    return received
