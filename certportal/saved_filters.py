"""Filters kept under a name: the panel of a list, and the addresses that keep, open and forget one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from certportal.models import SavedFilter, SavedList, User
from inventory.admin.listing import COUNT, CURSOR

MOST_SHOWN = 50
# Where in the list somebody stood is no part of what they looked for.
_NOT_KEPT = {CURSOR, COUNT, "p", "e"}


@dataclass(frozen=True)
class Panel:
    """What the filter panel of a list shows."""

    list: str
    query: str
    own: Sequence[SavedFilter]
    shared: Sequence[SavedFilter]
    keep_url: str


class KeepForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    class Meta:
        model = SavedFilter
        fields = ["list", "name", "query", "shared"]

    def clean_query(self) -> str:
        return kept_part(self.cleaned_data["query"])


def kept_part(query: str) -> str:
    """Return the part of an address's query that says what is looked for."""
    return urlencode([(key, value) for key, value in parse_qsl(query) if key not in _NOT_KEPT])


def panel(user: User, listed: str, query: str) -> Panel | None:
    """Return what the panel of a list shows, or None for a list whose filters are not kept."""
    if listed not in SavedList.values:
        return None
    seen = list(SavedFilter.objects.seen_by(user).filter(list=listed).select_related("owner")[:MOST_SHOWN])
    return Panel(
        listed,
        kept_part(query),
        [saved for saved in seen if saved.owner_id == user.pk],
        [saved for saved in seen if saved.owner_id != user.pk],
        reverse("admin:saved_filter_keep"),
    )


def keep(request: HttpRequest, now: datetime) -> HttpResponse:
    """Keep a filter, or replace the one of the same name."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    user = _person(request)
    listed, name = request.POST.get("list", ""), request.POST.get("name", "").strip()
    same = (
        SavedFilter.objects.filter(owner=user, list=listed, name=name).first() if "\x00" not in listed + name else None
    )
    form = KeepForm(request.POST, instance=same or SavedFilter(owner=user, created_at=now))
    if listed not in SavedList.values:
        raise Http404
    _check_right(user, listed)
    if not form.is_valid():
        messages.error(request, "; ".join(str(error) for errors in form.errors.values() for error in errors))
        return HttpResponseRedirect(reverse(f"admin:{listed}_changelist"))
    saved = form.save()
    messages.success(request, _("The filter is kept as %(name)s.") % {"name": saved.name})
    return HttpResponseRedirect(_address(saved))


def open_(request: HttpRequest, pk: int) -> HttpResponse:
    """Lead to the list: the address that people send one another."""
    user = _person(request)
    saved = SavedFilter.objects.seen_by(user).filter(pk=pk).first()
    if saved is None:
        raise Http404
    _check_right(user, saved.list)
    return HttpResponseRedirect(_address(saved))


def forget(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a filter of one's own."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    saved = SavedFilter.objects.filter(owner=_person(request), pk=pk).first()
    if saved is None:
        raise Http404
    saved.delete()
    messages.success(request, _("The filter is forgotten."))
    return HttpResponseRedirect(reverse(f"admin:{saved.list}_changelist"))


def _address(saved: SavedFilter) -> str:
    address = reverse(f"admin:{saved.list}_changelist")
    return f"{address}?{saved.query}" if saved.query else address


def _person(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def _check_right(user: User, listed: str) -> None:
    """Raises PermissionDenied unless the person may see the list."""
    app, _separator, model = listed.partition("_")
    if not user.has_perm(f"{app}.view_{model}"):
        raise PermissionDenied(f"{app}.view_{model}")
