"""Request bodies of machines: bounded in size and time, their framing unambiguous."""

import io
from typing import Any

import gevent
import pytest
from gunicorn.http.errors import InvalidChunkSize, NoMoreData

from certportal.wsgi.body import BoundedBody


class Response:
    """Stands for gunicorn's, whose `start_response` is a bound method."""

    def __init__(self) -> None:
        self.closes = False
        self.status = ""
        self.headers: dict[str, str] = {}
        self.body = b""

    def force_close(self) -> None:
        self.closes = True

    def start_response(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.status = status
        self.headers = dict(headers)


class Failing(io.BytesIO):
    """Gives what it holds, then fails as a connection does."""

    def __init__(self, content: bytes, failure: Exception) -> None:
        super().__init__(content)
        self._failure = failure

    def read(self, size=-1):
        piece = super().read(size)
        if not piece or len(piece) < size:
            raise self._failure
        return piece


class Silent(io.BytesIO):
    def read(self, _size=-1):
        gevent.sleep(30)
        return b""


def _echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [f"{environ['CONTENT_LENGTH']}:".encode(), body]


def _send(stream: io.BytesIO, largest: int = 10, seconds: float = 5.0, **environ: str) -> Response:
    response = Response()
    given: dict[str, Any] = {"wsgi.input": stream, "REQUEST_METHOD": "POST", **environ}
    answer = BoundedBody(_echo, largest=largest, seconds=seconds)(given, response.start_response)
    response.body = b"".join(answer)
    if hasattr(answer, "close"):
        answer.close()
    return response


@pytest.mark.parametrize("content", [b"", b"0123456789"])
def test_a_chunked_body_gets_its_length(content):
    response = _send(io.BytesIO(content), HTTP_TRANSFER_ENCODING="chunked")
    assert response.body == b"%d:%s" % (len(content), content)


def test_a_body_of_announced_length_passes():
    assert _send(io.BytesIO(b"abc"), CONTENT_LENGTH="3").body == b"3:abc"


def test_a_request_without_a_body_does_not_wait_for_one():
    assert _send(Silent(), seconds=0.01).body == b"0:"


@pytest.mark.parametrize("framing", [{"CONTENT_LENGTH": "11"}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
def test_one_byte_over_the_limit_is_413_in_one_line_and_the_connection_ends(framing):
    response = _send(io.BytesIO(b"0123456789a"), **framing)
    assert response.status == "413 Content Too Large"
    assert response.body == b"The request body is larger than 10 bytes.\n"
    assert response.headers["Content-Length"] == str(len(response.body))
    assert response.closes


def test_what_a_refused_client_still_sends_is_taken_off_the_wire():
    stream = io.BytesIO(b"x" * 300_000)
    _send(stream, CONTENT_LENGTH="300000")
    assert stream.read() == b""


def test_an_endless_body_is_not_taken_for_ever():
    class Endless(io.BytesIO):
        given = 0

        def read(self, size=-1):
            self.given += size
            return b"x" * size

    stream = Endless()
    assert _send(stream, HTTP_TRANSFER_ENCODING="chunked").status.startswith("413")
    assert stream.given < 9 * 1024 * 1024


@pytest.mark.parametrize("framing", [{"CONTENT_LENGTH": "3"}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
def test_a_body_that_does_not_come_is_408(framing):
    response = _send(Silent(), seconds=0.05, **framing)
    assert response.status == "408 Request Timeout"
    assert response.closes


@pytest.mark.parametrize(
    ("framing", "says"),
    [
        ({"CONTENT_LENGTH": "3", "HTTP_TRANSFER_ENCODING": "chunked"}, b"both a Content-Length and"),
        ({"HTTP_TRANSFER_ENCODING": "chunked,chunked"}, b"chunked, once"),
        ({"HTTP_TRANSFER_ENCODING": "gzip, chunked"}, b"chunked, once"),
        ({"CONTENT_LENGTH": "-1"}, b"not a number"),
        ({"CONTENT_LENGTH": "3,3"}, b"not a number"),
        ({"CONTENT_LENGTH": "³"}, b"not a number"),
    ],
)
def test_framing_that_two_readers_could_take_differently_is_400(framing, says):
    response = _send(io.BytesIO(b"abc"), **framing)
    assert response.status == "400 Bad Request"
    assert says in response.body
    assert response.body.count(b"\n") == 1
    assert response.closes


@pytest.mark.parametrize("failure", [InvalidChunkSize(b"zz"), NoMoreData(), ConnectionResetError()])
def test_a_chunked_body_that_breaks_off_is_400(failure):
    response = _send(Failing(b"abc", failure), HTTP_TRANSFER_ENCODING="chunked")
    assert response.status == "400 Bad Request"
    assert response.closes


def test_a_body_shorter_than_announced_is_400():
    response = _send(io.BytesIO(b"abc"), CONTENT_LENGTH="5")
    assert response.body == b"The request body ended after 3 of 5 announced bytes.\n"
