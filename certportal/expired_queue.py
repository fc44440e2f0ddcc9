"""The queue of expired devices: of the inventory, with the one-time secrets of renewal, which lead out of it."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from inventory import admin as inventory_admin
from inventory.admin import cells
from inventory.admin.filters import is_key
from inventory.admin.listing import COUNT, CURSOR
from inventory.models import Device
from inventory.models.device import ExpiredDevice
from renewal.admin import enrolment_secrets

# What of the address of the list says nothing of which devices it holds.
_NOT_CHOOSING = (CURSOR, COUNT, "p", "e", "o")


@admin.register(ExpiredDevice)
class ExpiredDeviceAdmin(inventory_admin.ExpiredDeviceAdmin):
    """Who may make secrets makes them for one device, for those that are marked, or for the list as it is narrowed."""

    change_list_template = "admin/inventory/expired_devices.html"
    actions = ["choose"]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        may = request.user.has_perm(enrolment_secrets.PERMISSION)
        return [*self.list_display[:-1], "secret_step"] if may else self.list_display

    @admin.display(description=_("next step"))
    def secret_step(self, device: Device) -> SafeString:
        url = reverse("admin:inventory_device_secret", args=[device.pk])
        return cells.link(url, gettext("make a one-time secret…"))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        kept = request.GET.copy()
        for name in _NOT_CHOOSING:
            kept.pop(name, None)
        url = _secrets_url(kept.urlencode()) if request.user.has_perm(enrolment_secrets.PERMISSION) else None
        page: HttpResponse = super().changelist_view(request, {"secrets_url": url, **(extra_context or {})})
        return page

    # --- The marked ones --------------------------------------------------------------------------------------------

    def has_choose_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(enrolment_secrets.PERMISSION)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *where: Any, **more: Any) -> Any:
        if not all(map(is_key, request.POST.getlist(ACTION_CHECKBOX_NAME))):
            raise Http404
        return super().response_action(request, queryset, *where, **more)

    def action_checkbox(self, device: Device) -> SafeString:
        """Return the box of a row. The admin asks a template for each, which took a fifth of the page."""
        box = '<input type="checkbox" name="{}" value="{}" class="action-select" aria-label="{}">'
        return format_html(box, ACTION_CHECKBOX_NAME, device.pk, gettext("mark %(device)s") % {"device": device.serial})

    @admin.action(description=_("Make one-time secrets…"), permissions=["choose"])
    def choose(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Lead to the page that says what secrets for the marked devices do."""
        keys = list(queryset.values_list("pk", flat=True))
        return HttpResponseRedirect(_secrets_url(urlencode({"device": keys}, doseq=True)))

    # --- The page ---------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        making = self.admin_site.admin_view(self.make_secrets)
        return [path("secrets/", making, name="inventory_expireddevice_secrets"), *super().get_urls()]

    def make_secrets(self, request: HttpRequest) -> HttpResponse:
        """For the devices that the address names, or the list that it narrows. Raises Http404 for an unknown filter."""
        queue = self.get_queryset(request)
        if "device" in request.GET:
            keys = [int(key) for key in request.GET.getlist("device") if is_key(key)]
            chosen = queue.filter(pk__in=keys)
        else:
            chosen = self.all_rows(request)
        return enrolment_secrets.many_view(request, chosen, queue, self.admin_site, timezone.now())


def _secrets_url(query: str) -> str:
    address = reverse("admin:inventory_expireddevice_secrets")
    return f"{address}?{query}" if query else address
