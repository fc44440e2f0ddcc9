"""The dashboard as a page, its blocks as the answers to polling, and the search of the header."""

from datetime import datetime
from typing import Any

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from certportal.dashboard import campaigns, crls, expiry_map, latest, needs, tiles, weeks
from certportal.dashboard.scope import SPANS, Scope
from inventory.admin import links
from inventory.counters.totals import standings
from inventory.expiry.cliffs import cliffs
from inventory.lists.search import find
from inventory.models import Axis
from renewal import coverage_counts
from revocation.freshness import freshness


def _needs(scope: Scope, now: datetime) -> dict[str, Any]:
    return {"needs": needs.read(scope, now, cliffs(now, scope.fleet_id), freshness(now))}


def _expiry_map(scope: Scope, now: datetime) -> dict[str, Any]:
    return {"expiry_map": expiry_map.read(scope, now, cliffs(now, scope.fleet_id))}


# Blocks that divide what ends by its coverage, which is counted when somebody looks.
_BY_COVERAGE = ("needs", "weeks")
# How to read each block that is polled, and every how many seconds.
BLOCKS = {
    "needs": (_needs, 15),
    "tiles": (lambda scope, now: {"tiles": tiles.read(scope, now)}, 10),
    "map": (_expiry_map, 30),
    "campaigns": (lambda scope, now: {"campaigns": campaigns.read(scope, now)}, 4),
    "weeks": (lambda scope, now: {"weeks": weeks.read(scope, now)}, 30),
    "crls": (lambda scope, now: {"crls": crls.lines(freshness(now), now)}, 15),
    "latest": (lambda scope, now: {"latest": latest.read(scope, now)}, 5),
}


def index(request: HttpRequest, site: AdminSite) -> TemplateResponse:
    """Show all blocks."""
    now, scope = timezone.now(), Scope.of(request.GET)
    coverage_counts.ask_if_old(now)
    found, fresh, counted = cliffs(now, scope.fleet_id), freshness(now), standings(now, fleet_id=scope.fleet_id)
    context = {
        **site.each_context(request),
        **_frame(scope, now),
        "title": _("Dashboard"),
        "subtitle": None,
        "needs": needs.read(scope, now, found, fresh, counted),
        "tiles": tiles.read(scope, now, counted),
        "expiry_map": expiry_map.read(scope, now, found),
        "campaigns": campaigns.read(scope, now),
        "weeks": weeks.read(scope, now),
        "crls": crls.lines(fresh, now),
        "latest": latest.read(scope, now),
    }
    return TemplateResponse(request, "admin/index.html", context)


def block(request: HttpRequest, name: str) -> HttpResponse:
    """Show one block again."""
    if name not in BLOCKS:
        raise Http404
    now, scope = timezone.now(), Scope.of(request.GET)
    if name in _BY_COVERAGE:
        coverage_counts.ask_if_old(now)
    read, _seconds = BLOCKS[name]
    context = {**_frame(scope, now), **read(scope, now)}
    return TemplateResponse(request, f"certportal/dashboard/{name}.html", context)


def _frame(scope: Scope, now: datetime) -> dict[str, Any]:
    """Return what every block needs: the scope, its choices, and how often each is polled."""
    return {
        "now": now,
        "scope": scope,
        "scope_query": scope.query(),
        "axes": [(axis, scope.query(rows=axis.value)) for axis in Axis],
        "spans": [(span, _span_label(span), scope.query(span=span)) for span in SPANS],
        "seconds": {name: seconds for name, (_read, seconds) in BLOCKS.items()},
    }


def _span_label(days: int) -> str:
    return _("%(count)s y") % {"count": days // 365} if days >= 365 else _("%(count)s d") % {"count": days}


def search(request: HttpRequest) -> HttpResponse:
    """Lead from what a person typed to the one thing it names, or to the list of what it may name."""
    term = request.GET.get("q", "").strip()
    found = find(term)
    if len(found.device_ids) == 1 and not found.certificate_ids:
        return HttpResponseRedirect(links.device(found.device_ids[0]))
    if len(found.certificate_ids) == 1 and not found.device_ids:
        return HttpResponseRedirect(links.certificate(found.certificate_ids[0]))
    if found.certificate_ids and not found.device_ids:
        return HttpResponseRedirect(links.certificates(q=term, purpose=None))
    return HttpResponseRedirect(links.devices(q=term or None))
