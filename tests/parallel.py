"""Doing things at the same time, each on a database connection of its own."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

T = TypeVar("T")


def at_once(acts: Sequence[Callable[[], T]]) -> list[T]:
    """Start all `acts` together and return what each returned, in their order; raise what the first of them raised."""
    start = threading.Barrier(len(acts))

    def run(act: Callable[[], T]) -> T:
        try:
            connection.ensure_connection()
            start.wait(timeout=30)
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(run, acts))


def beside(threads: ThreadPoolExecutor, act: Callable[[], T]) -> "Future[T]":
    """Start `act` in one of `threads` and return its future."""

    def run() -> T:
        try:
            return act()
        finally:
            connection.close()

    return threads.submit(run)


def until_blocked() -> None:
    """Return once some other session of this database waits for a lock."""
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        with connection.cursor() as cursor:
            # A transaction sees the activity of its first look until it is told to look anew.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
            )
            if cursor.fetchone() != (0,):
                return
            cursor.execute("SELECT pg_sleep(0.01)")
    raise AssertionError("No session waited for a lock within a minute.")
