"""Who is on the other end of a TLS session, and which session it is, as the listener itself saw it."""

from collections.abc import Mapping
from typing import Any


def client_certificate(environ: Mapping[str, Any]) -> bytes | None:
    """Return the DER of the certificate that the client proved to hold in its TLS handshake, or None.

    It comes from the socket of our own listener, never from a header: a header can be sent by anybody. The listener
    has checked the chain but not the dates, so that an expired device hears why it is refused; the gate checks all of
    it again. A resumed session shows the certificate of its first handshake, which is why this is asked each time.
    """
    listener_socket = environ.get("gunicorn.socket")
    get_peer_certificate = getattr(listener_socket, "getpeercert", None)
    if get_peer_certificate is None:
        return None
    der: bytes | None = get_peer_certificate(binary_form=True)
    return der


def tls_unique(environ: Mapping[str, Any]) -> bytes | None:
    """Return the channel binding `tls-unique` (RFC 5929 3) of the TLS 1.2 session that ends in our own listener.

    None otherwise: TLS 1.3 defines none (RFC 8446 C.5), and of a session that ends in a proxy we know nothing.
    """
    listener_socket = environ.get("gunicorn.socket")
    version = getattr(listener_socket, "version", None)
    if listener_socket is None or version is None or version() != "TLSv1.2":
        return None
    binding: bytes | None = listener_socket.get_channel_binding("tls-unique")
    return binding
