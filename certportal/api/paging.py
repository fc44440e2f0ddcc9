"""Pages of API lists: what a request asks for, and the links to the pages beside."""

from typing import Any

from django.db.models import Model
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from inventory.lists import pages
from inventory.lists.cursors import Cursor, InvalidCursor, check


class KeysetPagination(BasePagination):
    """Pages of a view whose `orderings` are indexed columns that are never null; its `ordering_for` chooses one."""

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
        self._page = pages.page(queryset, self._ordering, cursor, limit)
        return self._page.rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {"next": self._link(self._page.next), "previous": self._link(self._page.previous), "results": data}
        )

    def _link(self, cursor: Cursor | None) -> str | None:
        return replace_query_param(self._url, self.cursor_parameter, cursor.encode()) if cursor else None

    def _asked_ordering(self, request: Request, view: Any) -> str:
        orderings: tuple[str, ...] = view.orderings
        asked: str = request.query_params.get(self.ordering_parameter, view.ordering_for(request))
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
            check(model, self._ordering, cursor)
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
                "description": "The order of the list; a minus sign turns it around. Without it the first of these, or "
                "the one that goes with the filters.",
                "schema": {"type": "string", "enum": list(orderings)},
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
