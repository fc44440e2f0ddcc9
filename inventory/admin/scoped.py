"""Pages of the admin that hold a person's rows only: lists, single pages, choices of forms and of filters."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst

from inventory.admin.strict_lists import StrictChangeList
from inventory.models import FleetIds, fleets_of
from inventory.models.access import ScopedQuerySet


def narrowed(rows: Any, fleets: FleetIds) -> Any:
    """Return the rows of `fleets`; those of a model of which everybody sees all, such as people, as they are."""
    return rows.of_fleets(fleets) if isinstance(rows, ScopedQuerySet) else rows


class _RelatedFilter(admin.RelatedFieldListFilter):
    """Offers the related rows that a person sees."""

    # With one row there is nothing to choose, but what is asked for is looked at: else the list would show everything.
    def has_output(self) -> bool:
        return super().has_output() or bool(self.used_parameters)

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

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return StrictChangeList

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list at an address, each row with its `viewer`, who asks: columns link to what he or she may see.

        Raises IncorrectLookupParameters for what the list does not understand.
        """
        try:
            changelist: ChangeList = super().get_changelist_instance(request)
        except IncorrectLookupParameters as error:
            # `changelist_view` of Django drops it, and leads to the whole list.
            request.list_refusal = error  # type: ignore[attr-defined]
            raise
        rows: list[Any] = list(changelist.result_list)
        for row in rows:
            row.viewer = request.user
        changelist.result_list = rows
        return changelist

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        page: HttpResponse = super().changelist_view(request, extra_context)
        refusal: IncorrectLookupParameters | None = getattr(request, "list_refusal", None)
        return page if refusal is None else self._refused(request, refusal)

    def _refused(self, request: HttpRequest, refusal: IncorrectLookupParameters) -> HttpResponse:
        """Say what of the address is not understood, with the way on, and show no row."""
        kept = request.GET.copy()
        kept.pop("e", None)
        for name in getattr(refusal, "parameter", "").split(", "):
            kept.pop(name, None)
        context = {
            **self.admin_site.each_context(request),
            "title": capfirst(str(self.opts.verbose_name_plural)),
            "complaint": str(refusal),
            "whole_url": request.path,
            "without_url": f"{request.path}?{kept.urlencode()}" if kept else request.path,
        }
        return TemplateResponse(request, "admin/refused_list.html", context, status=400)

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
