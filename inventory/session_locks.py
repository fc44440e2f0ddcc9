"""Locks that belong to a database session: a worker that dies, however it dies, keeps none."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def session_lock(name: str, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock called `name` and yield whether we have it; with `wait` we always do."""
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
            taken = True
        else:
            cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name])
            [taken] = cursor.fetchone()
    try:
        yield taken
    finally:
        # A broken connection has let go of its locks; Django opens the next one itself.
        if taken and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])
