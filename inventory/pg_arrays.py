"""Columns of many rows, each as one parameter of a statement that unnests it. Pure.

Arrays as PostgreSQL reads them. psycopg would write the same, and ask of each element what it is and what to escape;
nothing in these has to be.
"""

from collections.abc import Iterable
from datetime import datetime


def integers(values: Iterable[int | None]) -> str:
    return _array("NULL" if value is None else str(value) for value in values)


def moments(values: Iterable[datetime | None]) -> str:
    return _array("NULL" if value is None else value.isoformat() for value in values)


def octets(values: Iterable[bytes]) -> str:
    """Return a bytea[]. Its backslashes are written twice, since an array reads one of them."""
    return _array(rf"\\x{value.hex()}" for value in values)


def _array(elements: Iterable[str]) -> str:
    return f"{{{','.join(elements)}}}"
