"""Filters that are never silently ignored: a list is what was asked for, or it is refused."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

# What Django puts in the place of bytes that are not UTF-8.
_REPLACEMENT = "\ufffd"


def refuse_unknown_parameters(request: Request, known: Iterable[str]) -> None:
    """Raise ValidationError for a query parameter that is unknown, repeated, empty or not text."""
    known = sorted(known)
    faults = {}
    for name, values in request.query_params.lists():
        if name not in known:
            choice = f"Known: {', '.join(known)}." if known else "This address takes none."
            faults[name.replace("\x00", _REPLACEMENT)] = [f"Not a parameter of this address. {choice}"]
        elif len(values) > 1:
            faults[name] = [f"Given {len(values)} times; give it once."]
        elif not values[0].strip():
            faults[name] = ["Has no value; leave the parameter out to see all."]
        elif _REPLACEMENT in values[0]:
            faults[name] = ["Is not UTF-8."]
        elif "\x00" in values[0]:
            faults[name] = ["Contains a NUL character."]
    if faults:
        raise ValidationError(faults)


class StrictFilterBackend(DjangoFilterBackend):
    """Applies the view's filters to its list, and refuses every other parameter there and on single objects."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        own = getattr(view, "own_parameters", ())
        if view.detail:
            refuse_unknown_parameters(request, own)
            return queryset
        filters = self.get_filterset_class(view, queryset)
        # An export has no pages.
        paginator = view.paginator
        paging = [field["name"] for field in paginator.get_schema_operation_parameters(view)] if paginator else []
        refuse_unknown_parameters(request, [*(filters.base_filters if filters else ()), *paging, *own])
        filtered: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return filtered

    def get_filterset_kwargs(self, request: Request, queryset: QuerySet[Any], view: Any) -> dict[str, Any]:
        """Hand over what the view adds in `filterset_arguments`, such as the moment of the request."""
        return {
            **super().get_filterset_kwargs(request, queryset, view),
            **getattr(view, "filterset_arguments", {}),
        }
