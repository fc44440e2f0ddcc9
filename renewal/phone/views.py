"""Pages for who stands at the device: one column, large targets, two taps to an outcome, a copy for no network."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from inventory.audit.record import Actor, without_zone
from inventory.formats import device_fields
from inventory.models.access import may_view
from inventory.models.audit import ActorKind
from renewal.field import closing, healing
from renewal.field.itinerary import itinerary, note_of, place_of
from renewal.field.refused import Refused
from renewal.models import Outcome, WorkOrder
from renewal.models.work_order import BY_HAND, FINDINGS, LONGEST_NOTE, WorkOrderQuerySet

# Of one page. What is beyond comes up as orders are closed: the list begins with what is due first.
MOST_LISTED = 60
# htmx stops polling when it is answered with this status.
STOP_POLLING = 286

# What the pages need beside themselves.
_FILES = ("certportal/field.css", "certportal/field.js", "certportal/icon.svg", "django_htmx/htmx-2.min.js")

View = Callable[..., HttpResponse]


def _for_field_teams(view: View) -> View:
    """Let in who may see work orders, as the admin lets in its people; others are led to the log-in or refused."""

    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user = request.user
        if not (user.is_staff and may_view(user, WorkOrder)):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


def _seen_by(request: HttpRequest) -> WorkOrderQuerySet:
    orders: WorkOrderQuerySet = WorkOrder.objects.visible_to(request.user)
    return orders


@require_GET
@never_cache
@_for_field_teams
@ensure_csrf_cookie
def order_list(request: HttpRequest) -> HttpResponse:
    """List the open orders by site and route: of the person's teams, or of all for who sees those of all teams."""
    orders = _seen_by(request).open()
    mine = request.GET.get("of") == "me"
    if mine:
        orders = orders.filter(assigned_to=request.user.pk)
    found = list(orders.with_facts().order_by("due_at", "pk")[: MOST_LISTED + 1])
    context = {
        "now": timezone.now(),
        "legs": itinerary(found[:MOST_LISTED]),
        "count": len(found[:MOST_LISTED]),
        "more": len(found) > MOST_LISTED,
        "mine": mine,
    }
    return TemplateResponse(request, "field/list.html", context)


@require_GET
@never_cache
@_for_field_teams
@ensure_csrf_cookie
def order_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one order: where, what is known, and the outcomes."""
    return _page(request, pk, FindingForm(initial={"key": uuid4()}))


def _page(request: HttpRequest, pk: int, form: "FindingForm", refusal: str = "", status: int = 200) -> HttpResponse:
    order = get_object_or_404(_seen_by(request).with_facts(), pk=pk)
    now = timezone.now()
    context = {
        "now": now,
        "order": order,
        "place": place_of(order),
        "note": note_of(order),
        "chance": healing.chances([order], now).get(order.pk),
        "may_close": request.user.has_perm("renewal.change_workorder"),
        "outcomes": BY_HAND,
        "replaced": Outcome.REPLACED,
        "form": form,
        "refusal": refusal,
        **_polling(order),
    }
    return TemplateResponse(request, "field/order.html", context, status=status)


@require_GET
@never_cache
@_for_field_teams
def order_state(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the polling of an order's page; the last answer tells the browser to stop."""
    order = get_object_or_404(_seen_by(request).with_facts(), pk=pk)
    polling = _polling(order)
    status = 200 if polling["polls"] else STOP_POLLING
    context = {"now": timezone.now(), "order": order, **polling}
    return TemplateResponse(request, "field/state.html", context, status=status)


def _polling(order: WorkOrder) -> dict[str, bool]:
    """Tell whether the page still waits for the device: nothing is expected of what is gone."""
    gone = order.outcome in {Outcome.REPLACED, Outcome.DECOMMISSIONED}
    return {"polls": order.renewed_at is None and not gone}  # type: ignore[attr-defined]  # annotated by with_facts


class FindingForm(forms.Form):
    """What was found. `key` is made with the page, so that a form sent twice counts once."""

    outcome = forms.ChoiceField(choices=FINDINGS)
    note = forms.CharField(label=_("Note"), max_length=LONGEST_NOTE, required=False)
    replaced_by = forms.CharField(
        label=_("Serial number of the new device"), max_length=device_fields.LONGEST_SERIAL, required=False
    )
    key = forms.UUIDField()


@require_POST
@_for_field_teams
def close_order(request: HttpRequest, pk: int) -> HttpResponse:
    """Close an order and lead back to its page; a phone that sends what it kept gets JSON.

    200 with `closed`, or 409 with `problem`: in both cases there is nothing left to send.
    """
    if not request.user.has_perm("renewal.change_workorder"):
        raise PermissionDenied("renewal.change_workorder")
    order = get_object_or_404(_seen_by(request), pk=pk)
    form = FindingForm(request.POST)
    problem = "" if form.is_valid() else " ".join(str(error) for errors in form.errors.values() for error in errors)
    if not problem:
        said = form.cleaned_data
        finding = closing.Finding(Outcome(said["outcome"]), said["note"], said["replaced_by"], said["key"])
        done = closing.close(order.pk, finding, now=timezone.now(), actor=_actor_of(request))
        problem = str(done.text) if isinstance(done, Refused) else ""
    if request.headers.get("Accept") == "application/json":
        if problem:
            return JsonResponse({"problem": problem}, status=HTTPStatus.CONFLICT)
        return JsonResponse({"closed": order.pk})
    if problem:
        return _page(request, pk, form, problem, HTTPStatus.CONFLICT)
    return HttpResponseRedirect(reverse("field:order", args=[pk]))


def _actor_of(request: HttpRequest) -> Actor:
    address = without_zone(request.META.get("REMOTE_ADDR"))
    return Actor(ActorKind.USER, request.user.get_username(), address, user_id=request.user.pk)


@require_GET
def worker(request: HttpRequest) -> HttpResponse:
    """Send the service worker, from an address above the pages that it keeps; it names our files by their hashes."""
    context = {"files": [static(name) for name in _FILES]}
    response = TemplateResponse(request, "field/worker.js", context, content_type="text/javascript; charset=utf-8")
    response.headers["Cache-Control"] = "no-cache"
    return response
