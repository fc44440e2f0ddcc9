"""Keyset pagination: a page costs the same at any depth, and nothing is counted.

The next page is what stands behind the cursor, so rows that are added or removed meanwhile neither repeat nor hide any
other row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from inventory.lists.cursors import Cursor, check, cursor_at
from inventory.lists.scan_plan import Portion, stretches


@dataclass(frozen=True)
class Page:
    """Some rows of a list, and the cursors of the pages beside it; None where there is none."""

    rows: list[Any]
    next: Cursor | None
    previous: Cursor | None


def page(
    queryset: "QuerySet[Any]",
    ordering: str,
    cursor: Cursor | None,
    limit: int,
    portions: Sequence[Portion] | None = None,
) -> Page:
    """Return the `limit` rows at `cursor`, or the first. Raises InvalidCursor for one of another list or order.

    `portions`, ascending, say where in the list its rows are, where that is known; its column then holds times.
    """
    if cursor is not None:
        check(queryset.model, ordering, cursor)
    backwards = cursor is not None and cursor.backwards
    rows: list[Any] = []
    for stretch in stretches(queryset, ordering, cursor, limit + 1, portions):
        rows += stretch[: limit + 1 - len(rows)]
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


def _cursor(rows: list[Any], ordering: str, *, backwards: bool) -> Cursor | None:
    return cursor_at(rows[0 if backwards else -1], ordering, backwards=backwards) if rows else None
