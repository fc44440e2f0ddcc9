"""Positions in ordered lists: what a cursor holds, and what stands behind it.

Lists are ordered by one column, ties by id, both in one direction; empty values stand behind all others, or before all
when the order is turned around. Orderings are columns with an optional minus sign.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Field, Func, Model, TextField, Value
from django.db.models.expressions import F, OrderBy
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual, Lookup
from django.utils.encoding import force_str

_LARGEST_ID = (1 << 63) - 1
_LONGEST_CURSOR = 1024


class InvalidCursor(ValueError):
    """A cursor that this list did not hand out."""


@dataclass(frozen=True)
class Cursor:
    """A position in a list: behind it (or before it, when `backwards`) the page begins.

    `value` is the text of the column that the list is ordered by, None where it is empty; `id` breaks ties.
    """

    ordering: str
    backwards: bool
    value: str | None
    id: int

    def encode(self) -> str:
        text = json.dumps([self.ordering, self.backwards, self.value, self.id], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Raises InvalidCursor."""
        if len(text) > _LONGEST_CURSOR:
            raise InvalidCursor
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            ordering, backwards, value, row_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (binascii.Error, UnicodeError, ValueError, TypeError, RecursionError) as error:
            raise InvalidCursor from error
        if [type(part) for part in (ordering, backwards, row_id)] != [str, bool, int]:
            raise InvalidCursor
        if not (value is None or isinstance(value, str)) or not 0 <= row_id <= _LARGEST_ID:
            raise InvalidCursor
        return cls(ordering, backwards, value, row_id)


def check(model: type[Model], ordering: str, cursor: Cursor) -> None:
    """Raises InvalidCursor unless the cursor is a position in this order that PostgreSQL can hold."""
    if cursor.ordering != ordering or (cursor.value is None and not column(model, ordering).null):
        raise InvalidCursor
    if cursor.value is not None:
        position(model, cursor)


def column(model: type[Model], ordering: str) -> "Field[Any, Any]":
    """Return the column of an ordering."""
    return model._meta.get_field(ordering.lstrip("-"))  # type: ignore[return-value]  # orderings name columns


def order_by(model: type[Model], ordering: str, *, reverse: bool) -> list[str | OrderBy]:
    """Return what to order rows by, from the end on when `reverse`."""
    name = ordering.lstrip("-")
    descending = ordering.startswith("-") is not reverse
    if column(model, ordering).null:
        empty_last = F(name).desc(nulls_last=True) if descending else F(name).asc(nulls_first=True)
        return [empty_last, "-id" if descending else "id"]
    sign = "-" if descending else ""
    return list(dict.fromkeys([f"{sign}{name}", f"{sign}id"]))


def position(model: type[Model], cursor: Cursor) -> Any:
    """Return the value of the cursor's column. Raises InvalidCursor when the text is none, or none PostgreSQL holds."""
    try:
        value = column(model, cursor.ordering).to_python(cursor.value)
        if isinstance(value, datetime):
            # PostgreSQL refuses offsets that Python takes.
            value = value.astimezone(UTC)
    except (ValidationError, ValueError, OverflowError) as error:
        raise InvalidCursor from error
    if isinstance(value, int) and not 0 <= value <= _LARGEST_ID:
        raise InvalidCursor
    if "\x00" in force_str(value):
        raise InvalidCursor
    return value


def behind(model: type[Model], cursor: Cursor) -> "Lookup[Any]":
    """Compare rows as PostgreSQL does, `(column, id) > (value, id)`: one range of one index, however many ties."""
    return (LessThan if _descending(cursor) else GreaterThan)(*_sides(model, cursor))


def up_to(model: type[Model], cursor: Cursor) -> "Lookup[Any]":
    """Return the opposite of `behind`."""
    return (GreaterThanOrEqual if _descending(cursor) else LessThanOrEqual)(*_sides(model, cursor))


def _descending(cursor: Cursor) -> bool:
    return cursor.ordering.startswith("-") is not cursor.backwards


def _sides(model: type[Model], cursor: Cursor) -> tuple[Any, Any]:
    ordered_by = column(model, cursor.ordering)
    here: Any = F("id")
    there: Any = Value(cursor.id)
    if not ordered_by.primary_key and cursor.value is not None:
        here = _row(F(ordered_by.attname), here)
        there = _row(Value(position(model, cursor), output_field=ordered_by), there)
    return here, there


def _row(*parts: Any) -> Func:
    return Func(*parts, function="ROW", output_field=TextField())


def sort_by(model: type[Model], ordering: str, *, reverse: bool) -> OrderBy:
    """Return the order of `order_by`, of filled values, written so that it is the order of no index."""
    ordered_by = column(model, ordering)
    row = _row(*dict.fromkeys([F(ordered_by.attname), F("id")]))
    return row.desc() if ordering.startswith("-") is not reverse else row.asc()


def cursor_at(row: Any, ordering: str, *, backwards: bool) -> Cursor:
    """Return the position of a row."""
    ordered_by = column(type(row), ordering)
    empty = getattr(row, ordered_by.attname) is None
    return Cursor(ordering, backwards, None if empty else ordered_by.value_to_string(row), row.pk)
