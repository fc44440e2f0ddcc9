"""Connections of the planes to PostgreSQL: they wait for its answers on gevent's loop itself.

psycopg waits by `select.poll`, for which gevent has an object of Python that costs as much as sending a statement and
reading its rows.
"""

from typing import Any, TypeVar

from gevent import get_hub
from psycopg import Connection
from psycopg.abc import PQGen

_Value = TypeVar("_Value")


class LoopConnection(Connection[Any]):
    """A connection on which a greenlet waits and others go on."""

    def wait(self, gen: PQGen[_Value], interval: float = 0.1, timeout: float | None = None) -> _Value:
        """Run what psycopg does on the socket, and return its value. See `psycopg.Connection.wait`.

        gevent can always interrupt, so `interval` matters to psycopg's own waiting alone.
        """
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            # psycopg numbers readiness as libev does: 1 to read, 2 to write.
            event = int(next(gen))
            hub, socket = get_hub(), self.pgconn.socket
            while True:
                watcher = hub.loop.io(socket, event)
                try:
                    hub.wait(watcher)
                finally:
                    watcher.close()
                event = int(gen.send(event))
        except StopIteration as done:
            value: _Value = done.value
            return value
