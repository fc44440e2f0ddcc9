"""The ranges of a list that are read, one after another, until a page is full.

PostgreSQL reads a filtered list either along its order, which is slow where no row matches for long, or from the
filter's side, which is slow where many rows match. It chooses as if matches were spread evenly, and those of a batch
never are: a page could take 12 s of 6.6 million certificates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.db.models.expressions import Col, OrderBy
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual, Lookup
from django.db.models.sql.where import WhereNode

from inventory.lists.cursors import (
    Cursor,
    behind,
    can_be_empty,
    columns,
    cursor_at,
    order_by,
    position,
    sort_by,
    tie,
    up_to,
)
from inventory.lists.row_counts import expected

# So many rows are read along the order, in some 30 ms, before the rest is asked for from the filter's side.
NEAR = 20_000
# So many are sorted within 100 ms. Where more match, a page is sooner found along the order.
_SORTABLE = 50_000
_RANGES = (GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual)
# The first span of portions holds a page. Each next one holds so many times more, for lists that are narrowed further.
_GROWTH = 8
# A gap that is shorter is read through: another statement would cost more.
_SHORT_GAP = timedelta(days=7)


@dataclass(frozen=True)
class Portion:
    """`number` rows of a list have `start <= value < end` in the column by which it is ordered."""

    start: datetime
    end: datetime
    number: int


def stretches(
    queryset: QuerySet[Any], ordering: str, cursor: Cursor | None, wanted: int, portions: Sequence[Portion] | None
) -> Iterator[QuerySet[Any]]:
    """Yield what stands behind the cursor part by part, in the order of reading, for a page of `wanted` rows.

    Where there are `portions`, ascending, no other place is read.
    """
    model, backwards = queryset.model, cursor is not None and cursor.backwards
    scattered = _is_scattered(queryset, ordering)
    for empty, conditions in _filled_and_empty(model, ordering, cursor, backwards=backwards):
        order = order_by(model, ordering, reverse=backwards, empty=empty)
        rows = queryset.filter(*conditions)
        if portions is not None:
            for span in _spans(model, ordering, cursor, wanted, portions):
                yield rows.filter(span).order_by(*order)
        elif scattered and expected(rows).number <= _SORTABLE:
            yield _sorted(rows, sort_by(model, ordering, reverse=backwards), wanted).order_by(*order)
        elif scattered and (near := _end_of_near(model, ordering, conditions, order, backwards=backwards)):
            yield rows.filter(up_to(model, near)).order_by(*order)
            yield _far(rows.filter(behind(model, near)), ordering, order, wanted, backwards=backwards)
        else:
            yield rows.order_by(*order)


def _filled_and_empty(
    model: type[Model], ordering: str, cursor: Cursor | None, *, backwards: bool
) -> list[tuple[bool, list[Any]]]:
    """Return the conditions of what is behind the cursor: of filled and of empty values, in the order of reading.

    They are asked for apart: only so is each a range of the index. Each with whether it is of empty ones.
    """
    if not can_be_empty(model, ordering):
        return [(False, [behind(model, cursor)] if cursor else [])]
    filled_first = ordering.startswith("-") is not backwards
    empty_ones = [False, True] if filled_first else [True, False]
    if cursor is not None:
        empty_ones = empty_ones[empty_ones.index(cursor.value is None) :]
    first, *_others = columns(model, ordering)
    # A row that belongs to the listed one is there. PostgreSQL must know, to begin with its index.
    there = [Q(**{f"{first.relation}__isnull": False})] if first.relation else []
    found: list[tuple[bool, list[Any]]] = [
        (empty, [Q(*there, **{f"{first.path}__isnull": empty})]) for empty in empty_ones
    ]
    if cursor is not None:
        found[0][1].append(behind(model, cursor))
    return found


# --- Where nothing is known: near along the order, far from the filter's side --------------------------------------


def _is_scattered(queryset: QuerySet[Any], ordering: str) -> bool:
    """Tell whether the filter says nothing about where in this order its rows are: it is about other tables, or it is a
    range of another column.
    """
    own = queryset.model._meta.db_table
    ordered_by = {each.field for each in [*columns(queryset.model, ordering), tie(queryset.model, ordering)]}
    found = [(lookup, column) for lookup in _lookups(queryset.query.where) for column in _columns_in(lookup)]
    elsewhere = [column for _, column in found if column.alias != own and column.target not in ordered_by]
    ranges = [column.target for lookup, column in found if isinstance(lookup, _RANGES)]
    return bool(elsewhere) or bool(ranges and ordered_by.isdisjoint(ranges))


def _columns_in(lookup: "Lookup[Any]") -> list[Col]:
    """Return the columns that a lookup is about: one, or those of a row of them."""
    return [each for each in lookup.lhs.flatten() if isinstance(each, Col)] if hasattr(lookup.lhs, "flatten") else []


def _lookups(node: WhereNode) -> "Iterator[Lookup[Any]]":
    for child in node.children:
        if isinstance(child, WhereNode):
            yield from _lookups(child)
        elif isinstance(child, Lookup):
            yield child


def _far(
    rows: QuerySet[Any], ordering: str, order: list[str | OrderBy], wanted: int, *, backwards: bool
) -> QuerySet[Any]:
    """Return the first rows of the rest. Counted: the planner expects too many where columns depend on each other."""
    if rows.order_by()[: _SORTABLE + 1].count() > _SORTABLE:
        return rows.order_by(*order)
    return _sorted(rows, sort_by(rows.model, ordering, reverse=backwards), wanted).order_by(*order)


def _sorted(rows: QuerySet[Any], sort: OrderBy, wanted: int) -> QuerySet[Any]:
    """Return the first rows, found from the filter's side: their ids are sorted, and only they are read whole."""
    ids = rows.select_related(None).prefetch_related(None).order_by(sort).values("pk")
    return rows.filter(pk__in=ids[:wanted])


def _end_of_near(
    model: type[Model], ordering: str, conditions: list[Any], order: list[str | OrderBy], *, backwards: bool
) -> Cursor | None:
    """Return the position `NEAR` rows on, whether they match or not; None when there are fewer."""
    ordered_by = columns(model, ordering)
    rows = model._base_manager.filter(*conditions).order_by(*order).only(*(each.path for each in ordered_by))
    if ordered_by[0].relation:
        rows = rows.select_related(ordered_by[0].relation)
    row = next(iter(rows[NEAR : NEAR + 1]), None)
    return cursor_at(row, ordering, backwards=backwards) if row else None


# --- Where it is known how many rows are where ---------------------------------------------------------------------


def _spans(
    model: type[Model], ordering: str, cursor: Cursor | None, wanted: int, portions: Sequence[Portion]
) -> Iterator[Q]:
    """Yield the conditions of spans of neighbouring portions behind the cursor, each larger than the one before."""
    descending = ordering.startswith("-") is not (cursor is not None and cursor.backwards)
    here = position(model, cursor)[0] if cursor else None
    name, most = ordering.lstrip("-"), wanted
    span: Portion | None = None
    for portion in reversed(portions) if descending else portions:
        if here is not None and (portion.start > here if descending else portion.end <= here):
            continue
        if span is not None and span.number < most and _gap(span, portion) < _SHORT_GAP:
            start, end = min(span.start, portion.start), max(span.end, portion.end)
            span = Portion(start, end, span.number + portion.number)
            continue
        if span is not None:
            yield Q(**{f"{name}__gte": span.start, f"{name}__lt": span.end})
            most *= _GROWTH
        span = portion
    if span is not None:
        yield Q(**{f"{name}__gte": span.start, f"{name}__lt": span.end})


def _gap(one: Portion, other: Portion) -> timedelta:
    return max(other.start - one.end, one.start - other.end)
