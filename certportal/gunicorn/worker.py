"""The workers of all planes: gunicorn's own, except that its refusals are one plain line."""

import contextlib
import ssl
from socket import socket
from typing import Any

from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

# What is not named here is 400. RFC 9112 6.1: 501 for a transfer coding that is not understood.
_STATUSES: dict[type[Exception], str] = {
    errors.ConfigurationProblem: "500 Internal Server Error",
    errors.ExpectationFailed: "417 Expectation Failed",
    errors.ForbiddenProxyRequest: "403 Forbidden",
    errors.LimitRequestHeaders: "431 Request Header Fields Too Large",
    errors.LimitRequestLine: "414 URI Too Long",
    errors.UnsupportedTransferCoding: "501 Not Implemented",
    ssl.SSLError: "403 Forbidden",
}
# Of these two the application is at fault, not the client.
_OURS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)
_LONGEST_TEXT = 200


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no type hints
    """Answers what never reaches the application as the planes answer everything else that they refuse."""

    def handle_error(self, request: Any, client: socket, address: Any, problem: Exception) -> None:
        """Log the problem, and answer with it if the client still listens. The caller closes the connection."""
        if isinstance(problem, errors.ParseException | ssl.SSLError) and not isinstance(problem, _OURS):
            status, text = _STATUSES.get(type(problem), "400 Bad Request"), _one_line(str(problem))
            self.log.warning("Invalid request from ip=%s: %s", address[0] if address else "", text)
        else:
            status, text = "500 Internal Server Error", "The server failed; try again later."
            self.log.exception("Error handling request %s", getattr(request, "uri", "(no URI read)"))
        with contextlib.suppress(OSError):
            client.sendall(answer(status, text))


def answer(status: str, text: str) -> bytes:
    """Return a whole HTTP answer that ends its connection."""
    body = f"{text}\n".encode()
    head = (
        f"HTTP/1.1 {status}\r\nConnection: close\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def _one_line(text: str) -> str:
    """Return what gunicorn says of a request, which quotes it, with nothing in it that a terminal would obey."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return f"{printable[:_LONGEST_TEXT]}{'…' if len(printable) > _LONGEST_TEXT else ''}"
