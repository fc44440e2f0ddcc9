"""TLS of the device plane: one context, replaced when its files change, and a deadline for every handshake."""

import logging
import ssl
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from socket import IPPROTO_TCP, TCP_QUICKACK, socket

import gevent

log = logging.getLogger(__name__)

_HANDSHAKE_SECONDS = 10.0
_SECONDS_BETWEEN_LOOKS = 1.0

# X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not name. An expired device must reach the application, which
# checks the time itself and says what to do; OpenSSL would only drop the connection.
_NO_CHECK_TIME = 0x200000


@dataclass(frozen=True)
class TlsFiles:
    """The files that the device listener presents and trusts."""

    certificate: Path
    """Leaf and chain, PEM."""
    key: Path
    client_authorities: Path
    """Every CA whose devices may connect, roots and intermediates, PEM."""

    @classmethod
    def of(cls, home: Path) -> "TlsFiles":
        directory = home / "tls"
        return cls(directory / "device.pem", directory / "device.key", directory / "client-ca.pem")

    def fingerprint(self) -> tuple[tuple[int, int, int], ...]:
        """Return a value that changes when a file is written or replaced."""
        found = [path.stat() for path in (self.certificate, self.key, self.client_authorities)]
        return tuple((status.st_ino, status.st_mtime_ns, status.st_size) for status in found)


def context_for(files: TlsFiles) -> ssl.SSLContext:
    """Return a server context of `files`; raise `OSError` (of which `ssl.SSLError` is one) when they do not fit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Devices connect once in months: a ticket is bytes on the air that are never used.
    context.num_tickets = 0
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.client_authorities)
    context.verify_mode = ssl.CERT_OPTIONAL
    # Devices often send their leaf alone: an issuing CA that we know ends the chain, its root need not be found.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    return context


class DeviceTls:
    """Stands where gunicorn and gevent expect an `ssl.SSLContext`; of that they use `wrap_socket` alone."""

    def __init__(
        self,
        files: TlsFiles,
        clock: Callable[[], float] = time.monotonic,
        handshake_seconds: float = _HANDSHAKE_SECONDS,
    ) -> None:
        """Raise `OSError` when the files are missing or do not fit."""
        self._files = files
        self._clock = clock
        self._handshake_seconds = handshake_seconds
        self._looked_at = clock()
        self._fingerprint = files.fingerprint()
        self._context = context_for(files)

    def current(self) -> ssl.SSLContext:
        """Return the context of the files as they are; connections made under an older one live on.

        Files that do not fit together, as between the two writes of a new pair, leave the old context in use.
        """
        if self._clock() - self._looked_at < _SECONDS_BETWEEN_LOOKS:
            return self._context
        self._looked_at = self._clock()
        try:
            fingerprint = self._files.fingerprint()
            if fingerprint != self._fingerprint:
                self._fingerprint = fingerprint
                self._context = context_for(self._files)
                log.info("The device plane's TLS files changed and are in use.")
        except OSError as problem:
            log.warning("The device plane's TLS files changed but cannot be used, the old ones stay: %s", problem)
        return self._context

    def wrap_socket(self, connection: socket, **_options: object) -> ssl.SSLSocket:
        """Return `connection` with its handshake done, or end the calling greenlet quietly when it fails or takes long.

        One deadline for the whole handshake: a client that sends a byte now and then does not prolong it.
        """
        peer = "a client that is gone"
        try:
            peer = connection.getpeername()[0]
            wrapped = self.current().wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            return _shake_hands(wrapped, self._handshake_seconds)
        except (OSError, gevent.Timeout) as problem:
            log.info("A TLS handshake with %s failed: %s", peer, problem)
            # Anything else would be printed as a traceback for each port scan.
            raise gevent.GreenletExit from None


def _shake_hands(connection: ssl.SSLSocket, seconds: float) -> ssl.SSLSocket:
    with ExitStack() as unless_it_succeeds:
        unless_it_succeeds.callback(connection.close)
        with gevent.Timeout(seconds):
            connection.do_handshake()
        # Without a ticket nothing answers the client's last message: one that waits for its acknowledgement before it
        # sends the request (Nagle's algorithm, the default of small TLS stacks) would wait 40 ms.
        connection.setsockopt(IPPROTO_TCP, TCP_QUICKACK, 1)
        unless_it_succeeds.pop_all()
    return connection
