"""Statements that a process sends all day: PostgreSQL parses and plans each once a connection, not once a request.

What Django's own cursors send is parsed and planned each time, with the parameters written into it. For a certificate
and its audit event that is more work than the rest of the statement.
"""

from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper
from psycopg import Cursor
from psycopg.types.datetime import TimestamptzLoader


class _Preparing(Cursor[Any]):
    def execute(
        self, query: Any, params: Any = None, *, prepare: bool | None = True, binary: bool | None = None
    ) -> "_Preparing":
        return super().execute(query, params, prepare=prepare, binary=binary)


def cursor() -> CursorWrapper:
    """Return a cursor of Django's whose statements stay prepared on the connection.

    A statement is prepared for the types of its parameters. A number is of the smallest type that holds it: give them
    as Int8, or in an array as text (`pg_arrays`), so that one statement is prepared once.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors:
        preparing = _Preparing(connection.connection)
    # Django's own reader of times needs ten times as long, for a time zone that is UTC already.
    preparing.adapters.register_loader("timestamptz", TimestamptzLoader)
    # As Django makes its own, so that tests and logs see every query.
    make: Callable[[Any], CursorWrapper] = (
        connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    )
    return make(preparing)


def selected(query: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with cursor() as preparing:
        preparing.execute(query, parameters)
        rows: list[tuple[Any, ...]] = preparing.fetchall()
    return rows
