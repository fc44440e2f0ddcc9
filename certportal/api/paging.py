"""Keyset paging: a page costs the same wherever it stands, and nothing is counted.

A cursor holds the position of a row in the order of the list. The next page is what stands behind that position, so
rows that are added or removed meanwhile neither repeat nor hide any other row.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Field, Func, Model, TextField, Value
from django.db.models.expressions import F
from django.db.models.lookups import GreaterThan, LessThan
from django.utils.encoding import force_str
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

_LARGEST_ID = (1 << 63) - 1
_LONGEST_CURSOR = 1024


class InvalidCursor(ValueError):
    """A cursor that this list did not hand out."""


@dataclass(frozen=True)
class Cursor:
    """A position in a list: behind it (or before it, when `backwards`) the page begins.

    `ordering` is a column with an optional minus sign; `value` is the text of that column, `id` breaks ties.
    """

    ordering: str
    backwards: bool
    value: str
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
        if [type(part) for part in (ordering, backwards, value, row_id)] != [str, bool, str, int]:
            raise InvalidCursor
        if not 0 <= row_id <= _LARGEST_ID:
            raise InvalidCursor
        return cls(ordering, backwards, value, row_id)


class KeysetPagination(BasePagination):
    """Pages of a view that names its `orderings`: indexed columns that are never null, the first one by default."""

    page_size = 100
    max_page_size = 1000
    cursor_parameter = "cursor"
    limit_parameter = "limit"
    ordering_parameter = "ordering"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return one page. Raises ValidationError on a bad cursor, limit or ordering."""
        self._url = request.build_absolute_uri()
        self._ordering = self._asked_ordering(request, view)
        limit = self._asked_limit(request)
        cursor = self._asked_cursor(request, queryset.model)
        backwards = cursor is not None and cursor.backwards
        if cursor is not None:
            queryset = queryset.filter(_behind(queryset.model, cursor))
        rows = list(queryset.order_by(*_order_by(self._ordering, reverse=backwards))[: limit + 1])
        more, rows = len(rows) > limit, rows[:limit]
        if backwards:
            rows.reverse()
        self._has_next = more or backwards
        self._has_previous = more if backwards else cursor is not None
        self._rows = rows
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self._link(backwards=False), "previous": self._link(backwards=True), "results": data})

    def _link(self, *, backwards: bool) -> str | None:
        if not self._rows or not (self._has_previous if backwards else self._has_next):
            return None
        row = self._rows[0 if backwards else -1]
        column = _column(type(row), self._ordering)
        cursor = Cursor(self._ordering, backwards, column.value_to_string(row), row.pk)
        return replace_query_param(self._url, self.cursor_parameter, cursor.encode())

    def _asked_ordering(self, request: Request, view: Any) -> str:
        orderings: tuple[str, ...] = view.orderings
        asked = request.query_params.get(self.ordering_parameter, orderings[0])
        if asked not in orderings:
            raise ValidationError({self.ordering_parameter: [f"This list can be ordered by {', '.join(orderings)}."]})
        return asked

    def _asked_limit(self, request: Request) -> int:
        asked = request.query_params.get(self.limit_parameter, str(self.page_size))
        # Five digits say enough: int() of a long text is slow on purpose.
        if not (asked.isascii() and asked.isdecimal() and len(asked) <= 5 and 1 <= int(asked) <= self.max_page_size):
            raise ValidationError({self.limit_parameter: [f"A page holds from 1 to {self.max_page_size} rows."]})
        return int(asked)

    def _asked_cursor(self, request: Request, model: type[Model]) -> Cursor | None:
        text = request.query_params.get(self.cursor_parameter)
        if text is None:
            return None
        try:
            cursor = Cursor.decode(text)
            if cursor.ordering != self._ordering:
                raise InvalidCursor
            _position(model, cursor)
        except InvalidCursor as error:
            message = "Not a cursor of this list in this order. Follow 'next' and 'previous', or leave it out."
            raise ValidationError({self.cursor_parameter: [message]}) from error
        return cursor

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        orderings = getattr(view, "orderings", ())
        return [
            {
                "name": self.cursor_parameter,
                "required": False,
                "in": "query",
                "description": "Where the page begins; taken from `next` or `previous` of another page.",
                "schema": {"type": "string"},
            },
            {
                "name": self.limit_parameter,
                "required": False,
                "in": "query",
                "description": "How many rows a page holds.",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": self.max_page_size,
                    "default": self.page_size,
                },
            },
            {
                "name": self.ordering_parameter,
                "required": False,
                "in": "query",
                "description": "The order of the list; a minus sign turns it around.",
                "schema": {"type": "string", "enum": list(orderings), "default": next(iter(orderings), None)},
            },
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": {**link, "description": "The page behind this one; null at the end."},
                "previous": {**link, "description": "The page before this one; null at the beginning."},
                "results": schema,
            },
        }


def _column(model: type[Model], ordering: str) -> "Field[Any, Any]":
    return model._meta.get_field(ordering.lstrip("-"))  # type: ignore[return-value]  # orderings name columns


def _order_by(ordering: str, *, reverse: bool) -> list[str]:
    sign = "-" if ordering.startswith("-") is not reverse else ""
    return list(dict.fromkeys([f"{sign}{ordering.lstrip('-')}", f"{sign}id"]))


def _position(model: type[Model], cursor: Cursor) -> Any:
    """Return the value of the cursor's column. Raises InvalidCursor when the text is none, or none PostgreSQL holds."""
    try:
        value = _column(model, cursor.ordering).to_python(cursor.value)
        if isinstance(value, datetime):
            # PostgreSQL refuses offsets that Python takes.
            value = value.astimezone(UTC)
    except (DjangoValidationError, ValueError, OverflowError) as error:
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
    if not column.primary_key:
        here = _row(F(column.attname), here)
        there = _row(Value(_position(model, cursor), output_field=column), there)
    descending = cursor.ordering.startswith("-") is not cursor.backwards
    return LessThan(here, there) if descending else GreaterThan(here, there)


def _row(*parts: Any) -> Func:
    return Func(*parts, function="ROW", output_field=TextField())
