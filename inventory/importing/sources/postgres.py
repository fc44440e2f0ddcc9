"""The database of another product as a source: read-only, a page at a time, converted to JSON lines."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from inventory.importing.parsing.records import Block
from inventory.importing.sources.files import Piece, Position, SourceRefused
from inventory.importing.sources.products import Query

PAGE = 2000
_SECONDS_TO_CONNECT = 15


def is_database_url(text: str) -> bool:
    return text.startswith(("postgres://", "postgresql://"))


class Database:
    """A PostgreSQL that another product has filled. Nothing of its address but host and name is kept."""

    total: int | None = None

    def __init__(self, url: str, queries: tuple[Query, ...]) -> None:
        if not queries:
            raise SourceRefused("This product is read from files, not from its database.")
        self._url = url
        self._queries = queries
        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            raise SourceRefused(f"The address of the database cannot be read: {error}") from error
        self.name = f"{parts.get('host', 'local')}/{parts.get('dbname', '')}"
        self.fingerprint = self.name

    def pieces(self, position: Position | None) -> Iterator[Piece]:
        """Read the rows behind `position`, a page at a time. Raises SourceRefused when the database cannot be read."""
        at = dict(position or {"query": 0, "after": self._queries[0].after, "rows": 0})
        try:
            with psycopg.connect(
                self._url,
                connect_timeout=_SECONDS_TO_CONNECT,
                autocommit=True,
                options="-c default_transaction_read_only=on",
            ) as connection:
                yield from self._pages(connection, at)
        except psycopg.Error as error:
            raise SourceRefused(f"The database {self.name} cannot be read: {' '.join(str(error).split())}") from error

    def _pages(self, connection: "psycopg.Connection[Any]", at: Position) -> Iterator[Piece]:
        while at["query"] < len(self._queries):
            query = self._queries[at["query"]]
            cursor = connection.execute(query.sql.encode(), {"after": at["after"], "most": PAGE})
            names = [column.name for column in cursor.description or []]
            rows = cursor.fetchall()
            if not rows:
                number = at["query"] + 1
                following = self._queries[number].after if number < len(self._queries) else None
                at = {"query": number, "after": following, "rows": at["rows"]}
                continue
            payload = "\n".join(json.dumps(dict(zip(names, map(_plain, row), strict=True))) for row in rows)
            first = at["rows"] + 1
            at = {"query": at["query"], "after": rows[-1][0], "rows": at["rows"] + len(rows)}
            yield Piece(Block(payload.encode(), first), at, at["rows"])


def _plain(value: object) -> object:
    """Return a value as JSON has it: bytes as PostgreSQL prints them."""
    if isinstance(value, bytes | memoryview):
        return "\\x" + bytes(value).hex()
    return value.isoformat() if isinstance(value, datetime) else value
