"""PostgreSQL's binary COPY format: values to bytes, and rows of them into a table."""

import ipaddress
import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db import connection

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"

NULL = b"\xff\xff\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INT2 = struct.Struct(">ih").pack
_INT8 = struct.Struct(">iq").pack
_INTERVAL = struct.Struct(">iqii").pack
# PostgreSQL's own numbers of address families.
_FAMILIES = {4: 2, 6: 3}


def width(columns: Sequence[str]) -> bytes:
    """Return the head of a row: its number of columns."""
    return len(columns).to_bytes(2)


def int2(value: int) -> bytes:
    return _INT2(2, value)


def int8(value: int | None) -> bytes:
    return NULL if value is None else _INT8(8, value)


def text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(4) + encoded


# Text that is the same in many rows.
word = lru_cache(maxsize=4096)(text)


def octets(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value


def microseconds(moment: datetime) -> int:
    """Return a timestamp with time zone: microseconds since 2000-01-01 UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(value: datetime | None) -> bytes:
    return NULL if value is None else _INT8(8, microseconds(value))


def interval(value: timedelta) -> bytes:
    """Return an interval: microseconds, days and months."""
    return _INTERVAL(16, value.seconds * 1_000_000 + value.microseconds, value.days, 0)


@lru_cache(maxsize=1024)
def inet(value: str | None) -> bytes:
    """Return the address of one host."""
    if value is None:
        return NULL
    address = ipaddress.ip_address(value)
    return octets(bytes((_FAMILIES[address.version], address.max_prefixlen, 0, len(address.packed))) + address.packed)


def jsonb(document: str) -> bytes:
    """Return a document that is JSON text already."""
    # The first octet is the version of the format.
    return octets(b"\x01" + document.encode())


def copy_in(cursor: Any, table: str, columns: Sequence[str], rows: Iterable[bytes]) -> None:
    """Append `rows` to `table`. Each is the `width` of `columns` and their values; several may stand in one."""
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
    with connection.wrap_database_errors, cursor.copy(statement) as copy:
        copy.write(b"".join((_HEADER, *rows, _TRAILER)))
