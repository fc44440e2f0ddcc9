"""A line between a browser and a portal that a test can cut: what it carries stops at once, as in a cellar."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Line:
    """Listens on a port of its own, and carries what comes to the port of the portal while it is whole."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._whole = True
        self._carried: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        self._whole = False
        self._drop()

    def mend(self) -> None:
        self._whole = True

    def close(self) -> None:
        self._listener.close()
        self._drop()

    def _drop(self) -> None:
        for each in self._carried:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the line was closed
            while True:
                browser, _address = self._listener.accept()
                if not self._whole:
                    browser.close()
                    continue
                portal = socket.create_connection(("127.0.0.1", self._port))
                self._carried += [browser, portal]
                for ends in ((browser, portal), (portal, browser)):
                    threading.Thread(target=_carry, args=ends, daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it was cut
        while block := source.recv(65536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def line_to(port: int) -> Iterator[Line]:
    made = Line(port)
    try:
        yield made
    finally:
        made.close()
