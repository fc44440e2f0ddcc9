"""Filters that renewal adds to lists of certificates."""

from datetime import date
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from inventory.admin.filters import CountedByDay, by_days, is_key
from inventory.lists.scan_plan import Portion
from inventory.models import fleets_of
from inventory.models.access import within
from renewal.coverage import Coverage, covered
from renewal.coverage_counts import by_day


class CoverageFilter(CountedByDay, admin.SimpleListFilter):
    """Whether the end of a certificate is taken care of.

    Nothing else finds the certificates that nobody planned for behind a campaign of hundreds of thousands: days of
    which the last count says that they hold none are not looked at.
    """

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

    def portions(self, request: HttpRequest) -> list[Portion] | None:
        value, fleet = self.value(), request.GET.get("fleet", "")
        if value is None:
            return None
        fleets = fleets_of(request.user)
        if is_key(fleet):
            fleets = within(fleets, int(fleet))
        days = by_day(date.min, date.max, timezone.now(), fleets=fleets)
        return by_days((day, parts.get(Coverage(value), 0)) for day, parts in sorted(days.items()))
