"""Cursors: positions in ordered lists, and the conditions for the rows behind them.

Lists are ordered by columns, ties by id, all in one direction; empty values stand behind all others, or before all when
the order is turned around. Orderings are columns with commas between, and an optional minus sign before the first. Of
several columns all are empty or none. They are the model's own, or all of one row that belongs to the listed one, by
its name: `presence__last_seen_at`.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Field, Func, GeneratedField, Model, TextField, Value
from django.db.models.expressions import F, OrderBy
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual, Lookup
from django.utils.encoding import force_str

_LARGEST_ID = (1 << 63) - 1
_LONGEST_CURSOR = 1024


class InvalidCursor(ValueError):
    """The cursor does not belong to this list."""


@dataclass(frozen=True)
class Cursor:
    """A position in a list: behind it (or before it, when `backwards`) the page begins.

    `value` is the text of the column that the list is ordered by, None where it is empty, of several columns a list of
    texts in JSON; `id` breaks ties. `model` says which list it is of.
    """

    model: str
    ordering: str
    backwards: bool
    value: str | None
    id: int

    def encode(self) -> str:
        text = json.dumps([self.model, self.ordering, self.backwards, self.value, self.id], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Raises InvalidCursor."""
        if len(text) > _LONGEST_CURSOR:
            raise InvalidCursor
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            model, ordering, backwards, value, row_id = parts
        except (binascii.Error, UnicodeError, ValueError, TypeError, RecursionError) as error:
            raise InvalidCursor from error
        if [type(part) for part in (model, ordering, backwards, row_id)] != [str, str, bool, int]:
            raise InvalidCursor
        if not (value is None or isinstance(value, str)) or not 0 <= row_id <= _LARGEST_ID:
            raise InvalidCursor
        return cls(model, ordering, backwards, value, row_id)


def check(model: type[Model], ordering: str, cursor: Cursor) -> None:
    """Raises InvalidCursor unless the cursor is a position in this list, in this order, that PostgreSQL can hold."""
    if (cursor.model, cursor.ordering) != (model._meta.label_lower, ordering):
        raise InvalidCursor
    if cursor.value is None and not can_be_empty(model, ordering):
        raise InvalidCursor
    if cursor.value is not None:
        position(model, cursor)


@dataclass(frozen=True)
class Column:
    """A column of an ordering. `relation`: the name of the row that has it, empty when the listed row does."""

    relation: str
    field: "Field[Any, Any]"

    @property
    def path(self) -> str:
        return f"{self.relation}__{self.field.attname}" if self.relation else self.field.attname

    @property
    def type(self) -> "Field[Any, Any]":
        """What its values are."""
        generated = isinstance(self.field, GeneratedField)
        return self.field.output_field if generated else self.field  # type: ignore[attr-defined]

    def text(self, row: Any) -> str | None:
        """Return its value in a listed row, None when it is empty."""
        holder = getattr(row, self.relation) if self.relation else row
        return None if getattr(holder, self.field.attname) is None else self.field.value_to_string(holder)


def columns(model: type[Model], ordering: str) -> list[Column]:
    """Return the columns of an ordering."""
    found = []
    for path in ordering.lstrip("-").split(","):
        relation, _, name = path.rpartition("__")
        of: Any = model._meta.get_field(relation).related_model if relation else model
        found.append(Column(relation, of._meta.get_field(name)))
    return found


def tie(model: type[Model], ordering: str) -> Column:
    """Return what decides between equals: the id of the row, taken from where the other columns are."""
    [relation] = {each.relation for each in columns(model, ordering)}
    of: Any = model._meta.get_field(relation).related_model if relation else model
    return Column(relation, of._meta.pk)


def can_be_empty(model: type[Model], ordering: str) -> bool:
    return any(each.field.null for each in columns(model, ordering))


def order_by(model: type[Model], ordering: str, *, reverse: bool, empty: bool = False) -> list[str | OrderBy]:
    """Return what to order rows by, from the end on when `reverse`; `empty`, rows whose columns all are."""
    ordered_by, last = columns(model, ordering), tie(model, ordering).path
    descending = ordering.startswith("-") is not reverse
    sign = "-" if descending else ""
    if not can_be_empty(model, ordering):
        return list(dict.fromkeys(f"{sign}{path}" for path in [*(each.path for each in ordered_by), last]))
    if empty:
        # The first column says nothing, but what it begins is the order of an index.
        ordered_by = ordered_by[:1]
    filled = [F(each.path) for each in ordered_by]
    empty_last = [each.desc(nulls_last=True) if descending else each.asc(nulls_first=True) for each in filled]
    return [*empty_last, f"{sign}{last}"]


def position(model: type[Model], cursor: Cursor) -> list[Any]:
    """Return the values of the cursor's columns. Raises InvalidCursor when a text is none, or none PostgreSQL holds."""
    ordered_by = columns(model, cursor.ordering)
    return [_value(each.type, text) for each, text in zip(ordered_by, _texts(cursor, len(ordered_by)), strict=True)]


def _texts(cursor: Cursor, number: int) -> list[str]:
    if number == 1:
        return [cursor.value or ""]
    try:
        texts = json.loads(cursor.value or "")
    except (ValueError, RecursionError) as error:
        raise InvalidCursor from error
    if not isinstance(texts, list) or len(texts) != number or not all(isinstance(text, str) for text in texts):
        raise InvalidCursor
    return texts


def _value(column: "Field[Any, Any]", text: str) -> Any:
    try:
        value = column.to_python(text)
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
    ordered_by = columns(model, cursor.ordering)
    here: Any = F(tie(model, cursor.ordering).path)
    there: Any = Value(cursor.id)
    if not ordered_by[0].field.primary_key and cursor.value is not None:
        values = zip(position(model, cursor), ordered_by, strict=True)
        here = _row(*(F(each.path) for each in ordered_by), here)
        there = _row(*(Value(value, output_field=each.type) for value, each in values), there)
    return here, there


def _row(*parts: Any) -> Func:
    return Func(*parts, function="ROW", output_field=TextField())


def sort_by(model: type[Model], ordering: str, *, reverse: bool) -> OrderBy:
    """Return the order of `order_by`, of filled values, written so that it is the order of no index."""
    names = dict.fromkeys(each.path for each in [*columns(model, ordering), tie(model, ordering)])
    row = _row(*(F(name) for name in names))
    return row.desc() if ordering.startswith("-") is not reverse else row.asc()


def cursor_at(row: Any, ordering: str, *, backwards: bool) -> Cursor:
    """Return the position of a row."""
    texts = [each.text(row) for each in columns(type(row), ordering)]
    value = texts[0] if len(texts) == 1 or texts[0] is None else json.dumps(texts)
    return Cursor(type(row)._meta.label_lower, ordering, backwards, value, row.pk)
