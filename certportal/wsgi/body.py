"""Request bodies of all planes: read whole, bounded in size and time, before Django sees the request.

Whoever has not said who he is costs at most `LARGEST` bytes of memory for `SECONDS`. More is taken only where an
`Allowance` says so, which is asked before the body is read.

Django reads an empty body from a request with `Transfer-Encoding: chunked`, because WSGI gives it no length. Go's HTTP
client, and so many EST clients, send certificate requests that way.
"""

import contextlib
import errno
import io
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

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
    """The body cannot be taken; carries the answer's status line, its one line of text and a word for programs."""

    def __init__(self, status: str, text: str, code: str = "bad_request") -> None:
        super().__init__(text)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class LargeBody:
    """What one client may send beyond `LARGEST`: how much, in how long, onto a disk that keeps a reserve."""

    largest: int
    seconds: float
    directory: Path
    """Where the body is written, to a file without a name: what a crash leaves is gone with the process."""
    reserve: int
    """Bytes that stay free on that disk: the database needs them more."""


Allowance = Callable[[Environ], LargeBody]
"""Says what the sender of these headers may send beyond `LARGEST`; raises `BodyRefused`. It does not read the body."""

Renderer = Callable[[Environ, BodyRefused], tuple[str, bytes]]
"""Returns the media type and the body of the answer to who is refused."""


def _plain_text(_environ: Environ, refusal: BodyRefused) -> tuple[str, bytes]:
    return "text/plain; charset=utf-8", f"{refusal}\n".encode()


class BoundedBody:
    """WSGI middleware that hands on a body of known length, or answers 4xx or 507 and closes the connection."""

    def __init__(
        self,
        application: Application,
        largest: int = LARGEST,
        seconds: float = SECONDS,
        allowance: Allowance | None = None,
        render: Renderer = _plain_text,
    ) -> None:
        self._application = application
        self._largest = largest
        self._seconds = seconds
        self._allowance = allowance
        self._render = render

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            body, length = self._read(environ)
        except BodyRefused as refusal:
            kind, content = self._render(environ, refusal)
            return _Refusal(refusal.status, kind, content, environ["wsgi.input"], start_response, self._seconds)
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ["CONTENT_LENGTH"] = str(length)
        environ["wsgi.input"] = body
        return self._application(environ, start_response)

    def _read(self, environ: Environ) -> tuple[BinaryIO, int]:
        announced = _announced_length(environ)
        if announced == 0:
            return io.BytesIO(), 0
        start = b""
        if announced is None or announced <= self._largest:
            # One byte more than allowed tells a body that is too large from one that just fits.
            with _reading(self._seconds):
                start = environ["wsgi.input"].read(self._largest + 1)
            if len(start) <= self._largest:
                return _complete(io.BytesIO(start), len(start), announced)
        if self._allowance is None:
            raise _too_large(self._largest)
        allowed = self._allowance(environ)
        if announced is not None and announced > allowed.largest:
            raise _too_large(allowed.largest)
        spool, length = _spooled(start, environ["wsgi.input"], allowed)
        return _complete(spool, length, announced)


def _spooled(start: bytes, source: BinaryIO, allowed: LargeBody) -> tuple[BinaryIO, int]:
    """Write `start` and what follows it to a file of its own; return it, at its beginning, with its length."""
    allowed.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.ExitStack() as undo:
        spool: BinaryIO = undo.enter_context(tempfile.TemporaryFile(dir=allowed.directory))
        length, piece = 0, start
        with _reading(allowed.seconds):
            while True:
                length += len(piece)
                if length > allowed.largest:
                    raise _too_large(allowed.largest)
                _write(spool, piece, allowed)
                piece = source.read(_PIECE)
                if not piece:
                    break
        spool.seek(0)
        undo.pop_all()
    return spool, length


def _write(spool: BinaryIO, piece: bytes, allowed: LargeBody) -> None:
    try:
        if shutil.disk_usage(allowed.directory).free < allowed.reserve:
            raise OSError(errno.ENOSPC, "the reserve would be used")
        spool.write(piece)
    except OSError:
        raise BodyRefused(
            "507 Insufficient Storage",
            "The portal's disk is nearly full and takes no files; an operator must make room.",
            "disk_nearly_full",
        ) from None


@contextlib.contextmanager
def _reading(seconds: float) -> Iterator[None]:
    """Read from the connection inside, all in all at most `seconds`; raise `BodyRefused` for what goes wrong."""
    timeout = gevent.Timeout(seconds)
    try:
        with timeout:
            yield
    except gevent.Timeout as expired:
        if expired is not timeout:
            raise
        text = f"The request body did not arrive within {seconds:g} seconds."
        raise BodyRefused("408 Request Timeout", text, "body_late") from None
    except ParseException as problem:
        raise BodyRefused("400 Bad Request", f"The chunked request body is malformed: {problem}") from None
    except OSError:
        raise BodyRefused("400 Bad Request", "The connection ended inside the request body.") from None


def _complete(body: BinaryIO, length: int, announced: int | None) -> tuple[BinaryIO, int]:
    if announced is not None and length < announced:
        raise BodyRefused("400 Bad Request", f"The request body ended after {length} of {announced} announced bytes.")
    return body, length


def _too_large(largest: int) -> BodyRefused:
    text = f"The request body is larger than {largest} bytes."
    return BodyRefused("413 Content Too Large", text, "body_too_large")


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

    def __init__(
        self, status: str, kind: str, content: bytes, body: BinaryIO, start_response: StartResponse, seconds: float
    ) -> None:
        self._content = content
        self._input = body
        self._seconds = seconds
        # gunicorn drops a Connection header of the application's; its response object has to be told.
        close = getattr(getattr(start_response, "__self__", None), "force_close", None)
        if close is not None:
            close()
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(content)))])

    def __iter__(self) -> Iterator[bytes]:
        yield self._content

    def close(self) -> None:
        """Discard, after the answer is sent, what the client still sends: to close now would reset the connection."""
        left = _LARGEST_DISCARDED
        with contextlib.suppress(gevent.Timeout, ParseException, OSError), gevent.Timeout(self._seconds):
            while left > 0 and (piece := self._input.read(_PIECE)):
                left -= len(piece)
