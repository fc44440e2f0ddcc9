"""Password hashing beside the loop of a plane, a few at a time.

A hash takes a processor for a good part of a second. On the loop that is a second in which a plane answers nobody.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection
from gevent import monkey
from gevent.threadpool import ThreadPool

T = TypeVar("T")
# In each process. More would only take the processors from those who have logged in.
AT_ONCE = 2
# Strangers beyond these are told to come back: each would wait for seconds, and for nothing if the browser gives up.
_MOST_WAITING = 20


class Threads:
    """Threads that take work from the greenlets of a process."""

    def __init__(self) -> None:
        self._pool: ThreadPool | None = None
        self.waiting = 0
        self.last_seconds = 0.0

    def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns; other greenlets go on meanwhile. Where there are none it is just called."""
        if not monkey.is_module_patched("threading"):
            return self._timed(work)
        if self._pool is None:
            # Not before: a thread does not live on in the processes that are forked off.
            self._pool = ThreadPool(AT_ONCE)
        if not connection.in_atomic_block:
            # Back to the pool: whoever waits here would keep those waiting who only want to read a page.
            connection.close()
        self.waiting += 1
        try:
            done: T = self._pool.apply(self._timed, (work,))
        finally:
            self.waiting -= 1
        return done

    def _timed(self, work: Callable[[], T]) -> T:
        began = time.monotonic()
        done = work()
        self.last_seconds = time.monotonic() - began
        return done


_threads = Threads()


class PBKDF2BesideTheLoop(PBKDF2PasswordHasher):
    """Django's own hasher; `verify` and `harden_runtime` go through `encode` as well."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        return _threads.run(lambda: super(PBKDF2BesideTheLoop, self).encode(password, salt, iterations))


def is_busy() -> bool:
    """Return whether so many wait for their hash that one more would wait too long."""
    return _threads.waiting >= _MOST_WAITING


def pause() -> None:
    """Take as long as the last hash took."""
    time.sleep(_threads.last_seconds)
