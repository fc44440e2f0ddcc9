"""What every resource can do when it is read: show the fields asked for, and send nothing that the client has."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from inventory.api.rest import sparse_fields
from inventory.api.rest.etags import unless_known
from inventory.models import fleets_of
from inventory.models.access import ScopedQuerySet

M = TypeVar("M", bound=Model)


class ListViewSet(ListModelMixin, GenericViewSet[M]):
    """A list. `orderings` names the columns by which it can be ordered."""

    orderings: tuple[str, ...]

    def get_queryset(self) -> QuerySet[Any]:
        """Return the rows of the caller's fleets; whether he or she may see such rows at all, permissions say."""
        rows: Any = super().get_queryset()
        return rows.of_fleets(fleets_of(self.request.user)) if isinstance(rows, ScopedQuerySet) else rows

    def ordering_for(self, request: Request) -> str:
        """Return the order of a list that says none."""
        return self.orderings[0]

    @property
    def own_parameters(self) -> tuple[str, ...]:
        """What an address takes beside filters and paging."""
        return (sparse_fields.PARAMETER,) if self.action in {"list", "retrieve"} else ()

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        serializer: Any = super().get_serializer(*args, **kwargs)
        if self.own_parameters:
            names = sparse_fields.asked(self.request, getattr(serializer, "child", serializer).fields)
            if names is not None:
                sparse_fields.trim(serializer, names)
        return serializer

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return unless_known(request, super().list(request, *args, **kwargs))


class ReadViewSet(RetrieveModelMixin, ListViewSet[M]):
    """A list and its objects."""

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return unless_known(request, super().retrieve(request, *args, **kwargs))
