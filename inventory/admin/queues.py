"""The two queues of devices that cannot authenticate, each with its colour, its text and its own next steps."""

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from inventory.admin import cells, filters, links, named
from inventory.admin.audited import ReadOnlyAdmin
from inventory.admin.listing import ListAdmin
from inventory.devices.locked_out import READINGS, Queue, in_queue
from inventory.lists.exports import EXPIRED_DEVICES, REVOKED_DEVICES
from inventory.models import Case, Certificate, CertificateState, CertificateStatus, Device
from inventory.models.access import may_view
from inventory.models.authority import RevocationAbove, RevokedAbove
from inventory.models.certificate import LIVE_STATES
from inventory.models.presence import BY_LAST_SEEN


class QueueAdmin(ListAdmin, ReadOnlyAdmin):
    """One queue. Each row leads to the device's own page, on which the step is taken."""

    empty_state = _("No device stands here.")
    queue: Queue
    change_list_template = "admin/inventory/queue.html"
    list_order = "id"
    sortable_by = ("device_serial", "seen")
    indexed_orders = {"presence__last_seen_at": BY_LAST_SEEN}
    list_display = ["device_serial", "fleet_name", "site_name", "stopped", "why", "seen", "step"]
    list_display_links = None
    list_filter = [filters.FleetFilter, filters.SiteFilter, filters.BatchFilter]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("inventory.view_device")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        ended = Certificate.objects.defer("der").order_by("-issued_at", "-pk")
        if self.queue == Queue.REVOKED:
            ended = ended.annotate(above=RevokedAbove("authority"))
            ended = ended.filter(Q(state=CertificateState.REVOKED) | Q(state__in=LIVE_STATES, above__isnull=False))
        held = Prefetch("certificates", ended, to_attr="ended")
        waiting = Prefetch("cases", Case.objects.waiting(), to_attr="open_cases")
        devices = in_queue(super().get_queryset(request), self.queue, timezone.now())
        # Presences are joined to no search: PostgreSQL would read all of them for the devices of one site.
        return devices.select_related("fleet", "site").prefetch_related("presence", held, waiting)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        queue = {"reading": READINGS[self.queue], "queue": self.queue}
        page: HttpResponse = super().changelist_view(request, {**(extra_context or {}), **queue})
        return page

    @admin.display(description=_("device"), ordering="serial")
    def device_serial(self, device: Device) -> SafeString:
        return cells.link(links.device(device.pk), device.serial)

    @admin.display(description=_("fleet"))
    def fleet_name(self, device: Device) -> SafeString:
        return named.from_row(device.fleet, device)

    @admin.display(description=_("site"))
    def site_name(self, device: Device) -> SafeString:
        return named.from_row(device.site, device)

    @admin.display(description=_("since"))
    def stopped(self, device: Device) -> SafeString:
        certificate = self._certificate(device)
        above = self._above(certificate)
        since = certificate.revoked_at or (above.at if above else certificate.not_after)
        return cells.when(since, timezone.now())

    @admin.display(description=_("why"))
    def why(self, device: Device) -> SafeString:
        certificate = self._certificate(device)
        if self.queue == Queue.REVOKED:
            above = self._above(certificate)
            why = CertificateStatus.ISSUER_REVOKED.label if above else certificate.get_revocation_reason_display()
            return cells.state(READINGS[self.queue].tone, why)
        if certificate.state == CertificateState.REVOKED:
            return cells.state("attention", gettext("revoked, then cleared"))
        return cells.state(READINGS[self.queue].tone, self.queue.label)

    @admin.display(description=_("last seen"), ordering="presence__last_seen_at")
    def seen(self, device: Device) -> SafeString:
        return cells.when(device.last_seen_at, timezone.now(), to_the_minute=True)

    @admin.display(description=_("next step"))
    def step(self, device: Device) -> SafeString:
        open_cases: list[Case] = device.open_cases  # type: ignore[attr-defined]  # prefetched in get_queryset
        if open_cases:
            return self._case_step(device, open_cases[0])
        if self._above(self._certificate(device)):
            return cells.link(links.device(device.pk), gettext("enrol it anew under another authority"))
        return cells.link(links.device(device.pk), READINGS[self.queue].act)

    def _case_step(self, device: Device, case: Case) -> SafeString:
        """Lead to a case by what the person who looks may do there: only some may decide, and only some may see it."""
        viewer = device.viewer  # type: ignore[attr-defined]  # of each row of a list
        if viewer.has_perm("inventory.decide_case"):
            text = gettext("decide on its case")
        else:
            text = gettext("its case waits for who may decide")
        return cells.link(links.page("inventory_case", case.pk), text) if may_view(viewer, Case) else cells.name(text)

    def _above(self, certificate: Certificate) -> RevocationAbove | None:
        """Return the revocation above a certificate that was not itself revoked, in the queue where that counts."""
        if self.queue != Queue.REVOKED or certificate.state == CertificateState.REVOKED:
            return None
        return RevocationAbove.read(certificate.above)  # type: ignore[attr-defined]  # annotated in get_queryset

    def _certificate(self, device: Device) -> Certificate:
        found: Certificate = device.ended[0]  # type: ignore[attr-defined]  # prefetched in get_queryset
        return found


class ExpiredDeviceAdmin(QueueAdmin):
    listing = EXPIRED_DEVICES
    queue = Queue.EXPIRED


class RevokedDeviceAdmin(QueueAdmin):
    listing = REVOKED_DEVICES
    queue = Queue.REVOKED
