"""Pages by position: a page costs the same wherever it stands, and nothing is counted to find it.

A cursor holds the position of a row in the order of the list. The next page is what stands behind that position, so
rows that are added or removed meanwhile neither repeat nor hide any other row. Lists are ordered by one column, ties
by id, both in one direction; empty values stand behind all others, or before all when the order is turned around.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Field, Func, Model, Q, QuerySet, TextField, Value
from django.db.models.expressions import F, OrderBy
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThan, LessThan
from django.utils.encoding import force_str

from inventory import counting

_LARGEST_ID = (1 << 63) - 1
_LONGEST_CURSOR = 1024
# So many rows are found and sorted in a moment. When another table chooses them, such as the devices of a batch,
# PostgreSQL would rather walk the list until it has met a page of them: it takes them to lie anywhere, but what was
# made together lies together, and then it walks millions.
_FEW = 50_000


class InvalidCursor(ValueError):
    """A cursor that this list did not hand out."""


@dataclass(frozen=True)
class Cursor:
    """A position in a list: behind it (or before it, when `backwards`) the page begins.

    `ordering` is a column with an optional minus sign; `value` is the text of that column, None where it is empty;
    `id` breaks ties.
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


@dataclass(frozen=True)
class Page:
    """Some rows of a list, and the cursors of the pages beside it; None where there is none."""

    rows: list[Any]
    next: Cursor | None
    previous: Cursor | None


def page(queryset: "QuerySet[Any]", ordering: str, cursor: Cursor | None, limit: int) -> Page:
    """Return the `limit` rows at `cursor`, or the first. Raises InvalidCursor for one of another list or order."""
    if cursor is not None:
        check(queryset.model, ordering, cursor)
    backwards = cursor is not None and cursor.backwards
    gathered = _asks_another_table(queryset) and counting.expected(queryset).number <= _FEW
    order = _order_by(queryset.model, ordering, reverse=backwards, gathered=gathered)
    rows: list[Any] = []
    for stretch in _stretches(queryset.model, ordering, cursor, backwards=backwards):
        found = queryset.filter(*stretch).order_by(*order)
        rows += found[: limit + 1 - len(rows)]
        if len(rows) > limit:
            break
    more, rows = len(rows) > limit, rows[:limit]
    if backwards:
        rows.reverse()
    return Page(
        rows,
        _cursor(rows, ordering, backwards=False) if more or backwards else None,
        _cursor(rows, ordering, backwards=True) if (more if backwards else cursor is not None) else None,
    )


def _asks_another_table(queryset: "QuerySet[Any]") -> bool:
    return sum(count > 0 for count in queryset.query.alias_refcount.values()) > 1


def check(model: type[Model], ordering: str, cursor: Cursor) -> None:
    """Raises InvalidCursor unless the cursor is a position in this order that PostgreSQL can hold."""
    if cursor.ordering != ordering or (cursor.value is None and not _column(model, ordering).null):
        raise InvalidCursor
    if cursor.value is not None:
        _position(model, cursor)


def _stretches(model: type[Model], ordering: str, cursor: Cursor | None, *, backwards: bool) -> list[list[Any]]:
    """Return the conditions of the parts of the list that the page may lie in, in the order of reading.

    Filled and empty values are asked for apart: only so is each a range of the index.
    """
    column = _column(model, ordering)
    if not column.null:
        return [[_behind(model, cursor)] if cursor else []]
    filled_first = ordering.startswith("-") is not backwards
    empty_ones = [False, True] if filled_first else [True, False]
    if cursor is not None:
        empty_ones = empty_ones[empty_ones.index(cursor.value is None) :]
    stretches: list[list[Any]] = [[Q(**{f"{column.attname}__isnull": empty})] for empty in empty_ones]
    if cursor is not None:
        stretches[0].append(_behind(model, cursor))
    return stretches


def _cursor(rows: list[Any], ordering: str, *, backwards: bool) -> Cursor | None:
    if not rows:
        return None
    row = rows[0 if backwards else -1]
    column = _column(type(row), ordering)
    empty = getattr(row, column.attname) is None
    return Cursor(ordering, backwards, None if empty else column.value_to_string(row), row.pk)


def _column(model: type[Model], ordering: str) -> "Field[Any, Any]":
    return model._meta.get_field(ordering.lstrip("-"))  # type: ignore[return-value]  # orderings name columns


def _order_by(model: type[Model], ordering: str, *, reverse: bool, gathered: bool) -> list[str | OrderBy]:
    """Return the order; `gathered` says it in a way that no index gives, so that all rows are found, then sorted."""
    name = ordering.lstrip("-")
    descending = ordering.startswith("-") is not reverse
    if gathered:
        key = Coalesce(F(name), F(name))
        ordered = key.desc(nulls_last=True) if descending else key.asc(nulls_first=True)
        return [ordered, *(["-id" if descending else "id"] if name != "id" else [])]
    if _column(model, ordering).null:
        empty_last = F(name).desc(nulls_last=True) if descending else F(name).asc(nulls_first=True)
        return [empty_last, "-id" if descending else "id"]
    sign = "-" if descending else ""
    return list(dict.fromkeys([f"{sign}{name}", f"{sign}id"]))


def _position(model: type[Model], cursor: Cursor) -> Any:
    """Return the value of the cursor's column. Raises InvalidCursor when the text is none, or none PostgreSQL holds."""
    try:
        value = _column(model, cursor.ordering).to_python(cursor.value)
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


def _behind(model: type[Model], cursor: Cursor) -> LessThan | GreaterThan:
    """Compare rows as PostgreSQL does, `(column, id) > (value, id)`: one range of one index, however many ties."""
    column = _column(model, cursor.ordering)
    here: Any = F("id")
    there: Any = Value(cursor.id)
    if not column.primary_key and cursor.value is not None:
        here = _row(F(column.attname), here)
        there = _row(Value(_position(model, cursor), output_field=column), there)
    descending = cursor.ordering.startswith("-") is not cursor.backwards
    return LessThan(here, there) if descending else GreaterThan(here, there)


def _row(*parts: Any) -> Func:
    return Func(*parts, function="ROW", output_field=TextField())
