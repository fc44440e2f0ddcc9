"""Pages of the admin that hold a person's rows only: lists, single pages, choices of forms and of filters."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from inventory.models import FleetIds, fleets_of
from inventory.models.access import ScopedQuerySet


def narrowed(rows: Any, fleets: FleetIds) -> Any:
    """Return the rows of `fleets`; those of a model of which everybody sees all, such as people, as they are."""
    return rows.of_fleets(fleets) if isinstance(rows, ScopedQuerySet) else rows


class _RelatedFilter(admin.RelatedFieldListFilter):
    """Offers the related rows that a person sees."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        fleets = fleets_of(request.user)
        seen: dict[str, Any] = {}
        if fleets is not None:
            related = field.remote_field.model._default_manager.all()
            seen = {"pk__in": narrowed(related, fleets).order_by().values("pk")}
        ordering = self.field_admin_ordering(field, request, model_admin)
        return field.get_choices(include_blank=False, ordering=ordering, limit_choices_to=seen)


class ScopedChoices:
    """Forms whose choices are the rows that a person sees. For a ModelAdmin or an inline."""

    def get_field_queryset(self, db: Any, db_field: Any, request: HttpRequest) -> Any:
        chosen = super().get_field_queryset(db, db_field, request)  # type: ignore[misc]  # of the admin
        fleets = fleets_of(request.user)
        if fleets is None:
            return chosen
        rows = db_field.remote_field.model._default_manager.all() if chosen is None else chosen
        return narrowed(rows, fleets)


class ScopedAdmin(ScopedChoices, admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: Any = super().get_queryset(request)
        return rows.visible_to(request.user) if isinstance(rows, ScopedQuerySet) else rows

    def get_list_filter(self, request: HttpRequest) -> Any:
        return [
            (each, _RelatedFilter) if isinstance(each, str) and self.opts.get_field(each).is_relation else each
            for each in super().get_list_filter(request)
        ]


class SharedAdmin(ScopedAdmin):
    """What fleets have in common: people of some fleets look at it, people of all fleets change it."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return fleets_of(request.user) is None and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return fleets_of(request.user) is None and super().has_change_permission(request, obj)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # As in the admin: who may change may view, also where it is not for him or her to change.
        return super().has_view_permission(request, obj) or super().has_change_permission(request, obj)
