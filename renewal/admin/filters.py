"""Filters that renewal adds to lists of certificates."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from renewal.coverage import Coverage, covered


class CoverageFilter(admin.SimpleListFilter):
    """Whether the end of a certificate is taken care of."""

    title = _("what is planned")
    parameter_name = "coverage"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(Coverage.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        if value is None:
            return None
        if value not in Coverage.values:
            raise IncorrectLookupParameters
        return covered(queryset, value, timezone.now())  # type: ignore[arg-type]  # the admin's queryset is the manager's
