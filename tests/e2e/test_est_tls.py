"""EST under TLS and HTTP that curl does not speak: old versions, resumed sessions, and framing meant to deceive."""

import base64
import http.client
import ssl
import threading

import pytest

from tests.e2e.tls_session import SECONDS, ask, client_context, connect, exchange

_REENROL = "/.well-known/est/demo/simplereenroll"


def encoded(der: bytes) -> bytes:
    return base64.b64encode(der)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_device_renews_under_either_version_of_tls(portal, meter, version):
    context = client_context(portal, meter)
    context.minimum_version = context.maximum_version = version
    with connect(portal, context) as connection:
        assert ask(connection, "POST", _REENROL, encoded(meter.renewal_request())).status == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_1_1_is_refused(portal, meter):
    context = client_context(portal, meter)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        connect(portal, context)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_wants_to_resume_its_session_is_who_it_was(portal, meter, version):
    """Two workers share no tickets, so some attempts end in a full handshake; the identity is there in any case."""
    context = client_context(portal, meter)
    context.minimum_version = context.maximum_version = version
    with connect(portal, context) as first:
        assert ask(first, "GET", "/.well-known/est/demo/cacerts").status == 200
        session = first.session
    body = encoded(meter.renewal_request())
    for _ in range(6):
        with connect(portal, context, session) as again:
            # The same request each time: one certificate, however often it is asked for.
            assert ask(again, "POST", _REENROL, body).status == 200


def test_a_resumed_session_does_not_outlive_a_revocation(portal, meter):
    context = client_context(portal, meter)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with connect(portal, context) as first:
        ask(first, "GET", "/.well-known/est/demo/cacerts")
        session = first.session
    portal.revoke(meter)
    for _ in range(6):
        with connect(portal, context, session) as again:
            reply = ask(again, "POST", _REENROL, encoded(meter.renewal_request()))
            assert reply.status == 403
            assert b"revoked" in reply.body


def test_an_open_connection_does_not_outlive_a_revocation(portal, meter):
    with connect(portal, client_context(portal, meter)) as connection:
        assert ask(connection, "GET", "/.well-known/est/demo/cacerts").status == 200
        revoking = threading.Thread(target=portal.revoke, args=[meter])
        revoking.start()
        # Kept busy: the server closes what is idle, and a command may take longer.
        while revoking.is_alive():
            assert ask(connection, "GET", "/.well-known/est/demo/cacerts").status == 200
            revoking.join(1)
        assert ask(connection, "POST", _REENROL, encoded(meter.renewal_request())).status == 403


def test_http_client_sends_chunks_without_a_length(portal, meter):
    """As Go's client does."""
    body = encoded(meter.renewal_request())
    pieces = (body[start : start + 50] for start in range(0, len(body), 50))
    host, port = portal.device_address
    connection = http.client.HTTPSConnection(host, port, timeout=SECONDS, context=client_context(portal, meter))
    connection.request("POST", _REENROL, pieces, {"Content-Type": "application/pkcs10"}, encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    connection.close()


_SECOND = b"GET /.well-known/est/demo/cacerts HTTP/1.1\r\nHost: x\r\n\r\n"
_CHUNKED = b"0\r\n\r\n" + _SECOND
DECEPTIONS = {
    "length and chunks": (b"Content-Length: %d\r\nTransfer-Encoding: chunked" % len(_CHUNKED), _CHUNKED),
    "chunks and length": (b"Transfer-Encoding: chunked\r\nContent-Length: 5", _CHUNKED),
    "two lengths": (b"Content-Length: 0\r\nContent-Length: %d" % len(_SECOND), _SECOND),
    "a list of lengths": (b"Content-Length: 0, %d" % len(_SECOND), _SECOND),
    "a length with a sign": (b"Content-Length: +%d" % len(_SECOND), _SECOND),
    "chunked twice": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", _CHUNKED),
    "chunked and identity": (b"Transfer-Encoding: chunked, identity", _CHUNKED),
    "a coding that is none": (b"Transfer-Encoding: xchunked", _CHUNKED),
    "a tab in the coding": (b"Transfer-Encoding:\tchunked\r\nContent-Length: 0", _CHUNKED),
    "a space before the colon": (b"Transfer-Encoding : chunked\r\nContent-Length: 0", _CHUNKED),
    "a folded line": (b"X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 0", _CHUNKED),
    "a broken chunk": (b"Transfer-Encoding: chunked", b"zz\r\n" + _SECOND),
}


@pytest.mark.parametrize("case", DECEPTIONS)
def test_framing_that_two_readers_could_take_differently_ends_the_connection(portal, meter, case):
    """What follows the deception must never be answered as a request of its own."""
    framing, body = DECEPTIONS[case]
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/pkcs10\r\n%s\r\n\r\n"
    with connect(portal, client_context(portal, meter)) as connection:
        answer = exchange(connection, head % (_REENROL.encode(), framing) + body)
    # RFC 9112 6.1: 501 for a transfer coding that the server does not understand.
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"pkcs7" not in answer


def test_an_underscore_is_no_dash(portal, meter):
    """WSGI gives both the same name: the header is dropped, and the length alone says where the body ends."""
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/pkcs10\r\nConnection: close\r\n%s\r\n\r\n"
    framing = b"Transfer_Encoding: chunked\r\nContent-Length: %d" % len(_CHUNKED)
    with connect(portal, client_context(portal, meter)) as connection:
        answer = exchange(connection, head % (_REENROL.encode(), framing) + _CHUNKED)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"The body must be the base64 of a DER certification request.\n")
