"""The audit log: read, filtered, never changed."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from inventory.admin import cells, filters, links
from inventory.admin.audited import ReadOnlyAdmin
from inventory.admin.listing import ListAdmin
from inventory.audit.summaries import told
from inventory.lists.exports import AUDIT_EVENTS
from inventory.lists.search import events_named
from inventory.models import AuditEvent, fleets_of

_SHOWN = ("time", "recorded_at", "what", "actor_kind", "who", "request_id", "on", "certificate_page", "why")


class AuditEventAdmin(ListAdmin, ReadOnlyAdmin):
    listing = AUDIT_EVENTS
    list_order = "-at"
    list_display = ["time", "what", "who", "on", "why"]
    list_select_related = ["device"]
    list_filter = [filters.HappenedFilter, filters.ActorFilter, "action", "actor_kind"]
    search_fields = ["object_name"]
    search_help_text = _(
        "Device or certificate by whatever names it, user, request; or part of the name of another object, "
        "among the latest events. Dates let it look further back."
    )
    fields = _SHOWN
    readonly_fields = _SHOWN

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("certificate").defer("certificate__der")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        by_field = {"device", "device__fleet", "certificate", "source_address", "object_name"}
        return lookup in by_field or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        named = events_named(queryset, search_term, fleets_of(request.user)) if search_term.strip() else queryset
        return named, False

    @admin.display(description=_("time, UTC"), ordering="at")
    def time(self, event: AuditEvent) -> SafeString:
        return cells.when(event.at, timezone.now(), to_the_minute=True)

    @admin.display(description=_("what"))
    def what(self, event: AuditEvent) -> str:
        return str(event.get_action_display())

    @admin.display(description=_("who"))
    def who(self, event: AuditEvent) -> SafeString:
        where = f" ({event.source_address})" if event.source_address else ""
        return cells.name(f"{event.actor}{where}")

    @admin.display(description=_("on what"))
    def on(self, event: AuditEvent) -> SafeString:
        shown = cells.name(event.object_name)
        return cells.link(links.device(event.device_id), shown) if event.device_id else shown

    @admin.display(description=_("certificate"))
    def certificate_page(self, event: AuditEvent) -> SafeString:
        if event.certificate is None:
            return cells.NOTHING
        return cells.link(links.certificate(event.certificate.pk), cells.code(event.certificate.serial))

    @admin.display(description=_("details"))
    def why(self, event: AuditEvent) -> SafeString:
        return cells.name(told(event.details))
