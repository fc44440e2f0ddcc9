"""Number of rows of a list: exact where that is cheap or asked for, else the planner's estimate."""

import json
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet

# Lists of a table up to this size are counted: people expect small numbers to be right.
COUNTED_EXACTLY = 200_000


@dataclass(frozen=True)
class Count:
    number: int
    exact: bool


def exactly(queryset: QuerySet[Any]) -> Count:
    return Count(queryset.order_by().count(), exact=True)


def about(queryset: QuerySet[Any]) -> Count:
    """Return the number of rows: counted in a small table, in a large one estimated by the planner."""
    with connections[queryset.db].cursor() as cursor:
        table = queryset.model._meta.db_table
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)", [table])
        row = cursor.fetchone()
        rows_of_table = int(row[0]) if row else 0
        if rows_of_table <= COUNTED_EXACTLY:
            return exactly(queryset)
    if not queryset.query.where:
        return Count(rows_of_table, exact=False)
    return expected(queryset)


def expected(queryset: QuerySet[Any]) -> Count:
    """Return how many rows the planner expects. It reads statistics, no rows."""
    try:
        statement, values = queryset.order_by().values("pk").query.sql_with_params()
    except EmptyResultSet:
        return Count(0, exact=True)
    with connections[queryset.db].cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", values)  # Django's own statement
        (plan,) = cursor.fetchone() or ("[]",)
    found = json.loads(plan) if isinstance(plan, str) else plan
    return Count(int(found[0]["Plan"]["Plan Rows"]), exact=False)
