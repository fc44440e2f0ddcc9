"""Devices: a list by what can be read off them, and a page that tells each one's story."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from inventory.admin import cases, cells, filters, links, named
from inventory.admin.audited import AuditedAdmin, actor_of
from inventory.admin.listing import ListAdmin
from inventory.alerts import story as alert_story
from inventory.audit import record
from inventory.devices import timeline
from inventory.devices.current_certificate import current
from inventory.lists.exports import DEVICES
from inventory.lists.search import devices_named
from inventory.models import AuditAction, Batch, Case, Certificate, CertificateState, Device, Site, fleets_of
from inventory.models.case import CaseOutcome
from inventory.models.presence import BY_LAST_SEEN
from inventory.sightings import story as sightings_story


class DeviceAdmin(ListAdmin, AuditedAdmin):
    empty_state = _("No device yet. Import a manifest, add one, or let devices enrol with one-time secrets.")
    listing = DEVICES
    change_list_template = "admin/inventory/devices.html"
    change_form_template = "admin/inventory/device.html"
    list_display = ["serial", "fleet_name", "site_name", "batch_name", "connectivity", "expires", "state", "seen"]
    # Only columns with an index.
    sortable_by = ["serial", "seen"]
    indexed_orders = {"presence__last_seen_at": BY_LAST_SEEN}
    list_filter = [
        filters.DeviceStatusFilter,
        filters.DeviceExpiryFilter,
        filters.FleetFilter,
        filters.SiteFilter,
        filters.BatchFilter,
        "connectivity",
        "status",
        filters.SeenFilter,
    ]
    search_fields = ["serial"]
    search_help_text = _(
        "Serial number or its beginning, MQTT id, phone number, batch, site, certificate serial or fingerprint."
    )
    fields = [
        "fleet", "serial", "batch", "site", ("latitude", "longitude"), "mqtt_id", "phone_number",
        "connectivity", "status",
    ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Both stand in certificates: a device that changes them is another device.
        return ("fleet", "serial") if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Device]:
        certificates = Certificate.objects.with_issuer().defer("der")
        devices = super().get_queryset(request).select_related("fleet", "site", "batch", "presence")
        return devices.prefetch_related(Prefetch("certificates", certificates, to_attr="held"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return (
            devices_named(queryset, search_term, fleets_of(request.user)) if search_term.strip() else queryset
        ), False

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        # A site or batch of another fleet would be wrong; on a new device the fleet is not known yet.
        device_id = request.resolver_match.kwargs.get("object_id", "") if request.resolver_match else ""
        if db_field.name in {"site", "batch"} and filters.is_key(device_id):
            model: type[Site] | type[Batch] = db_field.remote_field.model
            kwargs["queryset"] = model.objects.of_fleets(fleets_of(request.user)).filter(fleet__devices=int(device_id))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Device, form: "forms.ModelForm[Any]", change: bool) -> None:  # type: ignore[override]
        if change:
            super().save_model(request, obj, form, change)
            return
        now = timezone.now()
        obj.registered_at = now
        obj.save()
        actor = actor_of(request)
        action = AuditAction.DEVICE_REGISTERED
        record.record([record.event(action, now=now, actor=actor, object_name=obj.serial, device=obj)])

    # --- The list ---------------------------------------------------------------------------------------------------

    @admin.display(description=_("fleet"))
    def fleet_name(self, device: Device) -> SafeString:
        return named.from_row(device.fleet, device)

    @admin.display(description=_("site"))
    def site_name(self, device: Device) -> SafeString:
        return named.from_row(device.site, device)

    @admin.display(description=_("batch"))
    def batch_name(self, device: Device) -> SafeString:
        return named.from_row(device.batch, device)

    @admin.display(description=_("expires"))
    def expires(self, device: Device) -> SafeString:
        now = timezone.now()
        certificate = current(device.held, now)  # type: ignore[attr-defined]  # prefetched in get_queryset
        return cells.when(certificate.not_after if certificate else None, now)

    @admin.display(description=_("state"))
    def state(self, device: Device) -> SafeString:
        now = timezone.now()
        return cells.status(current(device.held, now), now)  # type: ignore[attr-defined]

    @admin.display(description=_("last seen"), ordering="presence__last_seen_at")
    def seen(self, device: Device) -> SafeString:
        if device.last_seen_at is None:
            return cells.state("neutral", _("never seen"))
        return cells.when(device.last_seen_at, timezone.now(), to_the_minute=True)

    # --- The page ---------------------------------------------------------------------------------------------------

    def past(self, device: Device, certificates: list[Certificate], now: datetime) -> list[timeline.Moment]:
        """Return what happened; packages above add what they know."""
        return [*timeline.past(device, certificates), *alert_story.past(device), *sightings_story.past(device)]

    def future(self, device: Device, certificate: Certificate | None, now: datetime) -> list[timeline.Moment]:
        return timeline.future(certificate, now)

    def outlook(self, device: Device, certificates: list[Certificate], now: datetime) -> timeline.Outlook:
        return timeline.outlook(device, certificates, now)

    def page(self, device: Device, now: datetime) -> dict[str, Any]:
        """Return what the page shows above the form."""
        certificates = list(
            Certificate.objects.filter(device=device)
            .with_issuer()
            .defer("der")
            .select_related("profile", "authority")
            .order_by("-issued_at", "-id")
        )
        standing_on = current(certificates, now)
        moments = [*self.past(device, certificates, now), *self.future(device, standing_on, now)]
        return {
            "now": now,
            "device": device,
            "current": standing_on,
            "certificates": [(held, held.is_revocable(now)) for held in certificates],
            "moments": sorted(moments, key=lambda moment: moment.at, reverse=True),
            "outlook": self.outlook(device, certificates, now),
            "audit_url": links.audit(device=device.pk),
            **self._case(certificates),
        }

    def _case(self, certificates: list[Certificate]) -> dict[str, Any]:
        """Return the case of the revocation that a device stands on, and whether one is wanted. At most one query."""
        if not certificates or certificates[0].state != CertificateState.REVOKED:
            return {}
        case = Case.objects.filter(certificate=certificates[0]).order_by("-opened_at", "-id").first()
        return {"case": case, "wants_case": case is None or case.outcome == CaseOutcome.DISMISSED}

    def get_urls(self) -> list[URLPattern]:
        opening = self.admin_site.admin_view(self.open_case)
        return [path("<int:pk>/case/", opening, name="inventory_device_case"), *super().get_urls()]

    def open_case(self, request: HttpRequest, pk: int) -> HttpResponse:
        return cases.open_view(request, pk, self.admin_site)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        device = self.get_object(request, object_id)
        page = self.page(device, timezone.now()) if device and self.has_view_permission(request, device) else {}
        return super().change_view(request, object_id, form_url, {**page, **(extra_context or {})})
