"""The dashboard as a page, its blocks as the answers to polling, and the search of the header."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from certportal.dashboard import campaigns, crls, expiry_map, latest, needs, since_yesterday, tiles, weeks
from certportal.dashboard import work as work_queues
from certportal.dashboard.scope import SPANS, Scope
from certportal.models import User
from inventory.admin import links
from inventory.counters.totals import standings
from inventory.expiry.cliffs import cliffs
from inventory.lists.search import find
from inventory.models import Authority, Axis, fleets_of
from renewal import coverage_counts
from revocation.freshness import Freshness, freshness


@dataclass(frozen=True)
class Block:
    """A part of the dashboard: how it is read, every how many seconds again, and what one must be allowed to see."""

    read: Callable[[Scope, datetime], Any]
    seconds: int
    permission: str | None = None


def _needs(scope: Scope, now: datetime) -> Any:
    return needs.read(scope, now, cliffs(now, scope.fleets), _freshness(scope, now))


# Blocks that divide what ends by its coverage, which is counted when somebody looks.
_BY_COVERAGE = ("needs", "weeks")


def _freshness(scope: Scope, now: datetime) -> list[Freshness]:
    """Return how the CRLs stand that verifiers of the person's fleets read."""
    found = freshness(now)
    if scope.allowed is None:
        return found
    seen = set(Authority.objects.of_fleets(scope.allowed).values_list("pk", flat=True))
    return [crl for crl in found if crl.authority_id in seen]


# Each narrows what it shows to the scope; needs and tiles do so with permissions too.
BLOCKS = {
    "needs": Block(_needs, 15),
    "since": Block(lambda scope, now: since_yesterday.read(scope, now, _freshness(scope, now)), 60),
    "tiles": Block(tiles.read, 10),
    "map": Block(
        lambda scope, now: expiry_map.read(scope, now, cliffs(now, scope.fleets)), 30, "inventory.view_certificate"
    ),
    "campaigns": Block(campaigns.read, 4, "renewal.view_campaign"),
    "weeks": Block(weeks.read, 30, "inventory.view_certificate"),
    "crls": Block(lambda scope, now: crls.lines(_freshness(scope, now), now), 15, "revocation.view_crl"),
    "latest": Block(latest.read, 5, "inventory.view_auditevent"),
}
# What the templates call a block where it is not its name.
_NAMES = {"map": "expiry_map"}


def _scope(request: HttpRequest) -> Scope:
    user = request.user
    person = user.person_id if user.is_authenticated else None
    return Scope.of(request.GET, fleets_of(user), user.has_perm, person)


def _shown(scope: Scope) -> list[str]:
    return [name for name, block in BLOCKS.items() if block.permission is None or scope.may(block.permission)]


def index(request: HttpRequest, site: AdminSite) -> TemplateResponse:
    """Show all blocks that the person may see. What several of them need is read once."""
    now, scope = timezone.now(), _scope(request)
    coverage_counts.ask_if_old(now)
    shown = _shown(scope)
    found, fresh, counted = cliffs(now, scope.fleets), _freshness(scope, now), standings(now, fleets=scope.fleets)
    read_once: dict[str, Callable[[], Any]] = {
        "needs": lambda: needs.read(scope, now, found, fresh, counted),
        "since": lambda: since_yesterday.read(scope, now, fresh),
        "tiles": lambda: tiles.read(scope, now, counted),
        "map": lambda: expiry_map.read(scope, now, found),
        "crls": lambda: crls.lines(fresh, now),
    }
    blocks = {name: read_once[name]() if name in read_once else BLOCKS[name].read(scope, now) for name in shown}
    context = {
        **site.each_context(request),
        **_frame(scope, now),
        **{_NAMES.get(name, name): read for name, read in blocks.items()},
        "title": _("Dashboard"),
        "subtitle": None,
        "shown": shown,
    }
    return TemplateResponse(request, "admin/index.html", context)


def work(request: HttpRequest, site: AdminSite, now: datetime) -> TemplateResponse:
    """Show the queues that the person may see."""
    assert isinstance(request.user, User)  # `admin_view` lets nobody else in
    context = {**site.each_context(request), "title": _("Work"), "sections": work_queues.read(request.user, now)}
    return TemplateResponse(request, "admin/work.html", context)


def block(request: HttpRequest, name: str) -> HttpResponse:
    """Show one block again."""
    if name not in BLOCKS:
        raise Http404
    now, scope = timezone.now(), _scope(request)
    if name not in _shown(scope):
        raise PermissionDenied
    if name in _BY_COVERAGE:
        coverage_counts.ask_if_old(now)
    context = {**_frame(scope, now), _NAMES.get(name, name): BLOCKS[name].read(scope, now)}
    return TemplateResponse(request, f"certportal/dashboard/{name}.html", context)


def _frame(scope: Scope, now: datetime) -> dict[str, Any]:
    """Return what every block needs: the scope, its choices, and how often each is polled."""
    return {
        "now": now,
        "scope": scope,
        "scope_query": scope.query(),
        "axes": [(axis, scope.query(rows=axis.value)) for axis in Axis],
        "spans": [(span, _span_label(span), scope.query(span=span)) for span in SPANS],
        "seconds": {name: block.seconds for name, block in BLOCKS.items()},
    }


def _span_label(days: int) -> str:
    return _("%(count)s y") % {"count": days // 365} if days >= 365 else _("%(count)s d") % {"count": days}


def search(request: HttpRequest) -> HttpResponse:
    """Lead from what a person typed to the one thing it names, or to the list of what it may name."""
    term = request.GET.get("q", "").strip()
    found = find(term, fleets_of(request.user))
    if not request.user.has_perm("inventory.view_device"):
        found = replace(found, device_ids=())
    if not request.user.has_perm("inventory.view_certificate"):
        found = replace(found, certificate_ids=())
    if len(found.device_ids) == 1 and not found.certificate_ids:
        return HttpResponseRedirect(links.device(found.device_ids[0]))
    if len(found.certificate_ids) == 1 and not found.device_ids:
        return HttpResponseRedirect(links.certificate(found.certificate_ids[0]))
    if found.certificate_ids and not found.device_ids:
        return HttpResponseRedirect(links.certificates(q=term, purpose=None))
    return HttpResponseRedirect(links.devices(q=term or None))
