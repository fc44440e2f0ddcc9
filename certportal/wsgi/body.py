"""Request bodies of devices and verifiers: read whole, bounded in size and time, before Django sees the request.

Django reads an empty body from a request with `Transfer-Encoding: chunked`, because WSGI gives it no length. Go's HTTP
client, and so many EST clients, send certificate requests that way.
"""

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
from gunicorn.http.errors import ParseException

LARGEST = 64 * 1024
SECONDS = 15.0
# What a client that is being refused may still send, so that it reads our answer instead of a reset connection.
_LARGEST_DISCARDED = 8 * 1024 * 1024
_PIECE = 16 * 1024

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class BodyRefused(Exception):
    """The body cannot be taken; carries the answer's status line and its one line of text."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


class BoundedBody:
    """WSGI middleware that hands on a body of known length, or answers 400, 408 or 413 and closes the connection."""

    def __init__(self, application: Application, largest: int = LARGEST, seconds: float = SECONDS) -> None:
        self._application = application
        self._largest = largest
        self._seconds = seconds

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            body = self._read(environ)
        except BodyRefused as refusal:
            return _Refusal(refusal, environ, start_response, self._seconds)
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
        return self._application(environ, start_response)

    def _read(self, environ: Environ) -> bytes:
        announced = _announced_length(environ)
        if announced is not None and announced > self._largest:
            raise self._too_large()
        if announced == 0:
            return b""
        try:
            with gevent.Timeout(self._seconds):
                # One byte more than allowed tells a body that is too large from one that just fits.
                body: bytes = environ["wsgi.input"].read(self._largest + 1)
        except gevent.Timeout:
            raise BodyRefused(
                "408 Request Timeout", f"The request body did not arrive within {self._seconds:g} seconds."
            ) from None
        except ParseException as problem:
            raise BodyRefused("400 Bad Request", f"The chunked request body is malformed: {problem}") from None
        except OSError:
            raise BodyRefused("400 Bad Request", "The connection ended inside the request body.") from None
        if len(body) > self._largest:
            raise self._too_large()
        if announced is not None and len(body) < announced:
            raise BodyRefused(
                "400 Bad Request", f"The request body ended after {len(body)} of {announced} announced bytes."
            )
        return body

    def _too_large(self) -> BodyRefused:
        return BodyRefused("413 Content Too Large", f"The request body is larger than {self._largest} bytes.")


def _announced_length(environ: Environ) -> int | None:
    """Return the length the client announced, 0 when there is no body, None when the body is chunked.

    Raise `BodyRefused` for framing that two readers could take differently (RFC 9112 section 6.3). gunicorn refuses
    the same; another server in front may not.
    """
    encoding = environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower()
    length = environ.get("CONTENT_LENGTH", "").strip()
    if encoding and length:
        raise BodyRefused("400 Bad Request", "The request has both a Content-Length and a Transfer-Encoding.")
    if encoding == "chunked":
        return None
    if encoding:
        raise BodyRefused("400 Bad Request", "The only transfer coding taken here is chunked, once.")
    if not length:
        return 0
    if not (length.isascii() and length.isdigit()):
        raise BodyRefused("400 Bad Request", "The Content-Length is not a number.")
    return int(length)


class _Refusal:
    """An answer that ends the connection, after what the client is still sending has been discarded."""

    def __init__(self, refusal: BodyRefused, environ: Environ, start_response: StartResponse, seconds: float) -> None:
        self._text = f"{refusal}\n".encode()
        self._input = environ["wsgi.input"]
        self._seconds = seconds
        # gunicorn drops a Connection header of the application's; its response object has to be told.
        close = getattr(getattr(start_response, "__self__", None), "force_close", None)
        if close is not None:
            close()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(self._text)))]
        start_response(refusal.status, headers)

    def __iter__(self) -> Iterator[bytes]:
        yield self._text

    def close(self) -> None:
        """Discard, after the answer is sent, what the client still sends: to close now would reset the connection."""
        left = _LARGEST_DISCARDED
        with contextlib.suppress(gevent.Timeout, ParseException, OSError), gevent.Timeout(self._seconds):
            while left > 0 and (piece := self._input.read(_PIECE)):
                left -= len(piece)
