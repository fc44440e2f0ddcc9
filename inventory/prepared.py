"""Statements that a process sends all day: PostgreSQL parses and plans each once a connection, not once a request.

What Django's own cursors send is parsed and planned each time, with the parameters written into it. For a certificate
and its audit event that is more work than the rest of the statement.

A statement is prepared for the types of its parameters. A number is of the smallest type that holds it: give them as
Int8, or in an array as text (`pg_arrays`), so that one statement is prepared once.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper
from psycopg import Connection, Cursor
from psycopg.types.datetime import TimestamptzLoader


class Statement(NamedTuple):
    """A statement and its parameters."""

    query: str
    parameters: Sequence[Any]

    def after(self, first: "Statement") -> "Statement":
        """Return both in one statement, for one round trip. Neither sees what the other does; this one has the rows."""
        own = self.query.removeprefix("WITH ") if self.query.startswith("WITH ") else None
        joined = f"WITH first AS ({first.query})" + (f", {own}" if own else f" {self.query}")
        return Statement(joined, [*first.parameters, *self.parameters])


def execute(query: str, parameters: Sequence[Any]) -> None:
    """Run a statement whose rows nobody reads."""
    _run(query, parameters)


def selected(query: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    return _run(query, parameters).fetchall()


def session() -> Connection[Any]:
    """Return the session of the database that serves this thread or request, which others had before it."""
    own = connections[DEFAULT_DB_ALIAS]
    own.ensure_connection()
    current: Connection[Any] = own.connection
    return current


def _run(query: str, parameters: Sequence[Any]) -> Cursor[Any]:
    # Looked up once: Django's `connection` looks for it by each name that it is asked for.
    own = connections[DEFAULT_DB_ALIAS]
    own.ensure_connection()
    own.validate_no_broken_transaction()
    with own.wrap_database_errors:
        cursor = _cursor(own.connection, query)
        if own.queries_logged or own.execute_wrappers:
            # As Django runs its own, so that whoever watches sees every query. It costs as much as a short statement.
            make: Callable[[Any], CursorWrapper] = own.make_debug_cursor if own.queries_logged else own.make_cursor
            make(cursor).execute(query, parameters)
        else:
            cursor.execute(query, parameters)
    return cursor


def _cursor(session: Connection[Any], query: str) -> "_Preparing":
    """Return the cursor that `session` keeps for `query`: it knows already how to write the parameters."""
    # In the session itself: a table of ours with the cursors would keep the sessions alive, too.
    cursors: dict[str, _Preparing] = vars(session).setdefault("prepared_cursors", {})
    cursor = cursors.get(query)
    if cursor is None:
        cursor = cursors[query] = _Preparing(session)
        # Django's own reader of times needs ten times as long, for a time zone that is UTC already.
        cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
    return cursor


class _Preparing(Cursor[Any]):
    def execute(
        self, query: Any, params: Any = None, *, prepare: bool | None = True, binary: bool | None = None
    ) -> "_Preparing":
        return super().execute(query, params, prepare=prepare, binary=binary)
