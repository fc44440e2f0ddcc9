"""Advisory locks of PostgreSQL that a database session holds: they end with it, however its process ends."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


def key_of(name: str) -> int:
    """Return the key of the lock called `name`: a signed 64-bit number, from its SHA-256."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)


@contextmanager
def held(key: int, *, wait: bool = False) -> Iterator[bool]:
    """Hold a lock until the block ends, across commits. Yield whether it was acquired; with `wait` it always is."""
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_lock(%s)", [key])
            taken = True
        else:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
            [taken] = cursor.fetchone()
    try:
        yield taken
    finally:
        # A broken connection has let go of its locks; Django opens the next one itself.
        if taken and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])
