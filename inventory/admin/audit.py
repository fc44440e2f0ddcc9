"""The audit log: read, filtered, never changed."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from inventory.admin import cells, links
from inventory.admin.audited import ReadOnlyAdmin
from inventory.admin.listing import ListAdmin
from inventory.audit.summaries import told
from inventory.lists.exports import AUDIT_EVENTS
from inventory.models import AuditEvent

_SHOWN = ("time", "recorded_at", "what", "actor_kind", "who", "request_id", "on", "certificate_page", "why")


class AuditEventAdmin(ListAdmin, ReadOnlyAdmin):
    listing = AUDIT_EVENTS
    list_order = "-at"
    list_display = ["time", "what", "who", "on", "why"]
    list_select_related = ["device"]
    list_filter = ["action", "actor_kind"]
    fields = _SHOWN
    readonly_fields = _SHOWN

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("certificate").defer("certificate__der")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        by_field = {"device", "certificate", "actor", "source_address", "object_name", "at__gte", "at__lt"}
        return lookup in by_field or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

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
