"""Counting the rows of long lists without reading them all."""

from typing import Any, cast

from django.core.paginator import Paginator
from django.db import connections
from django.db.models import QuerySet
from django.utils.functional import cached_property


class EstimatingPaginator(Paginator):  # type: ignore[type-arg]  # generic only in the stubs
    """Counts a filtered list exactly, and takes the planner's estimate for a whole large table."""

    # Up to here a whole table is counted exactly; above, PostgreSQL's own estimate is within a few percent.
    counted_exactly = 200_000

    @cached_property
    def count(self) -> int:
        return self.estimate or int(cast("QuerySet[Any]", self.object_list).count())

    @cached_property
    def estimate(self) -> int | None:
        """The number that stands for an exact one, None where the rows are counted. Pages say "about" before it."""
        queryset = cast("QuerySet[Any]", self.object_list)
        if queryset.query.where:
            return None
        with connections[queryset.db].cursor() as cursor:
            cursor.execute(
                "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)", [queryset.model._meta.db_table]
            )
            row = cursor.fetchone()
        estimate = int(row[0]) if row else 0
        return estimate if estimate > self.counted_exactly else None
