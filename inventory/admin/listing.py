"""Lists of the admin at fleet scale: pages by position, counts by estimate, and exports of whatever is shown.

The whole state of a list is its address: filters, search, order, position. So Back works, and an address can be sent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from inventory.admin.audited import actor_of
from inventory.admin.strict_lists import StrictChangeList, unknown_place
from inventory.lists import pages
from inventory.lists.cursors import Cursor, InvalidCursor
from inventory.lists.downloads import download
from inventory.lists.exports import Export, ExportRefused, Format, Listing
from inventory.lists.row_counts import Count, about, exactly
from inventory.lists.scan_plan import Portion

CURSOR, COUNT = "cursor", "count"
EXACT = "exact"


@dataclass(frozen=True)
class ExportLink:
    url: str
    word: str


class KeysetChangeList(StrictChangeList):
    """A page of a list that stands at a cursor. Never an OFFSET, and a count of millions only when asked for."""

    model_admin: "ListAdmin"
    previous_url: str | None
    next_url: str | None
    count: Count

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        # Here the parameters are read and not yet used: filters must not meet ours.
        for name in (CURSOR, COUNT):
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        return super().get_queryset(request, exclude_parameters)

    def get_results(self, request: HttpRequest) -> None:
        """Read one page. Raises NotUnderstood for a cursor of another list or order."""
        text = request.GET.get(CURSOR)
        try:
            cursor = Cursor.decode(text) if text else None
            ordering = self.column(request)
            portions = self.model_admin.portions(request, self, ordering)
            page = pages.page(self.queryset, ordering, cursor, self.list_per_page, portions)
        except InvalidCursor as error:
            raise unknown_place(CURSOR, text) from error
        self.result_list = page.rows
        self.previous_url = self._at(page.previous)
        self.next_url = self._at(page.next)
        whole = page.previous is None and page.next is None
        exact = exactly if request.GET.get(COUNT) == EXACT else about
        self.count = Count(len(page.rows), exact=True) if whole else exact(self.queryset)
        self.exact_count_url = None if self.count.exact else self.get_query_string({CURSOR: text, COUNT: EXACT})
        self.result_count = self.full_result_count = self.count.number
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = bool(page.rows)
        self.paginator = Paginator(page.rows, self.list_per_page)

    def column(self, request: HttpRequest) -> str:
        """Return what the list is ordered by, with a minus sign for downwards."""
        asked = self.get_ordering(request, self.queryset)[0] if self.params.get(ORDER_VAR) else None
        if not isinstance(asked, str):
            return self.model_admin.list_order
        name = asked.removeprefix("-")
        return asked.removesuffix(name) + self.model_admin.indexed_orders.get(name, name)

    def _at(self, cursor: Cursor | None) -> str | None:
        return self.get_query_string({CURSOR: cursor.encode()}, [PAGE_VAR]) if cursor else None


class UnreadChangeList(KeysetChangeList):
    """What a list holds, for who asks for all of it: no page is read."""

    def get_results(self, request: HttpRequest) -> None:
        self.result_list = []


class ListAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """A list of many rows. `listing` says what its exports hold, `list_order` its order: columns that have an index."""

    listing: Listing
    list_order = "-id"
    # By columns that have none themselves: the order that says the same and begins with one that has.
    indexed_orders: Mapping[str, str] = {}

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return tuple(self.list_order.split(","))

    def portions(self, request: HttpRequest, changelist: ChangeList, ordering: str) -> list[Portion] | None:
        """Return where in the list its rows are, if its filters know."""
        return None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return UnreadChangeList if getattr(request, "reads_no_page", False) else KeysetChangeList

    def all_rows(self, request: HttpRequest) -> QuerySet[Any]:
        """Return every row that the list at this address holds. Raises Http404 for a filter that it does not know.

        An address that filters by something unknown must not choose everything.
        """
        request.reads_no_page = True  # type: ignore[attr-defined]
        build: Callable[[HttpRequest], ChangeList] = self.get_changelist_instance
        try:
            rows: QuerySet[Any] = build(request).queryset
        except IncorrectLookupParameters as error:
            raise Http404 from error
        return rows

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        export = path("export/<slug:kind>/", self.admin_site.admin_view(self.export_view), name=name)
        return [export, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return super().changelist_view(request, {**(extra_context or {}), "exports": self._exports(request)})

    def _exports(self, request: HttpRequest) -> list[ExportLink]:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_export"
        query = request.GET.copy()
        for ours in (CURSOR, COUNT, PAGE_VAR):
            query.pop(ours, None)
        address = f"?{query.urlencode()}" if query else ""
        return [ExportLink(reverse(name, args=[kind.value]) + address, str(kind.label)) for kind in Format]

    def export_view(self, request: HttpRequest, kind: str) -> Any:
        """Send every row that the list at this address holds."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if kind not in Format.values:
            raise Http404
        rows = self.all_rows(request)
        try:
            return download(
                Export(self.listing, rows, Format(kind), request.GET.urlencode(), actor_of(request)), timezone.now
            )
        except ExportRefused as refusal:
            return HttpResponse(str(refusal), status=503, content_type="text/plain; charset=utf-8")
