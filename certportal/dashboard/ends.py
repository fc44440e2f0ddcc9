"""The certificates behind a cell of the expiry map, by a short address that leads to their list.

A map has hundreds of cells, and the address of a list says in four times as many letters what it is narrowed to.
"""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from certportal.dashboard.scope import Scope
from inventory.admin import links
from inventory.admin.filters import NONE, is_key
from inventory.expiry import buckets
from inventory.expiry.cliffs import start_of
from inventory.models import Axis

# What the list of certificates calls each axis in its address.
_PARAMETERS = {Axis.PROFILE: "profile__id__exact", Axis.AUTHORITY: "authority__id__exact"}


def of_cell(scope: Scope, row: int | None, period: str) -> str:
    """Return the address of what ends in a period (ISO 8601) and is of one row of the map."""
    key = NONE if row is None else row
    return _of_fleet(scope, reverse("admin:ends_of_row", args=[scope.axis.value, key, period]))


def of_column(scope: Scope, period: str) -> str:
    """Return the address of what ends in a period (ISO 8601), of whatever row."""
    return _of_fleet(scope, reverse("admin:ends", args=[period]))


def of_row(scope: Scope, row: int | None) -> str:
    """Return the list of exactly the certificates that a row counts, and whenever they end."""
    if row is None and scope.axis in _PARAMETERS:
        # A field of the certificate itself, whose filter says it otherwise.
        return _standing(scope, **{f"{scope.axis.value}__isnull": "True"})
    parameter = _PARAMETERS.get(scope.axis, scope.axis.value)
    return _standing(scope, **{parameter: NONE if row is None else row})


@require_safe
def show(request: HttpRequest, period: str, axis: str | None = None, row: str = NONE) -> HttpResponse:
    """Lead to the list. Raises PermissionDenied to who may not see it, Http404 for what is no axis, row or period."""
    if not request.user.has_perm("inventory.view_certificate"):
        raise PermissionDenied("inventory.view_certificate")
    try:
        begin, end = buckets.read(period)
        query = {**request.GET.dict(), **({"rows": Axis(axis).value} if axis else {})}
    except ValueError as error:
        raise Http404(str(error)) from error
    if row != NONE and not is_key(row):
        raise Http404(f"{row} is no row of the map")
    scope = Scope.of(query)
    whole = _standing(scope) if axis is None else of_row(scope, None if row == NONE else int(row))
    return HttpResponseRedirect(f"{whole}&{links.expiry(start_of(begin), start_of(end))}")


def _of_fleet(scope: Scope, address: str) -> str:
    return links.with_query(address, {"fleet": scope.fleet_id})


def _standing(scope: Scope, **group: object) -> str:
    question: dict[str, Any] = {"fleet": scope.fleet_id, **group}
    return links.certificates(state="standing", **question)
