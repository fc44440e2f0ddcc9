"""What was seen alive and should not have been."""

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
from inventory.lists.exports import UNEXPECTED_SIGHTINGS
from inventory.models import UnexpectedSighting
from inventory.models.sighting import Oddity

TONES = {
    Oddity.UNKNOWN: "attention",
    Oddity.REVOKED: "stopped",
    Oddity.OUT_OF_SERVICE: "late",
    Oddity.SHARED_KEY: "stopped",
    Oddity.COMPROMISED_KEY: "stopped",
}
_SHOWN = ("wrong", "what", "device_page", "certificate_page", "reporter", "first", "last", "times")


class UnexpectedSightingAdmin(ListAdmin, ReadOnlyAdmin):
    empty_state = _(
        "Nothing odd was seen. What verifiers report, and what is unknown, revoked or out of service, stands here."
    )
    listing = UNEXPECTED_SIGHTINGS
    list_order = "-last_seen_at"
    list_display = _SHOWN
    list_display_links = None
    list_filter = ["oddity", filters.OfDeviceFleetFilter]
    fields = _SHOWN
    readonly_fields = _SHOWN

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("device", "certificate").defer("certificate__der")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        by_field = {"source", "device", "certificate"}
        return lookup in by_field or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    @admin.display(description=_("what is wrong"))
    def wrong(self, sighting: UnexpectedSighting) -> SafeString:
        return cells.state(TONES[Oddity(sighting.oddity)], sighting.get_oddity_display())

    @admin.display(description=_("what was seen"))
    def what(self, sighting: UnexpectedSighting) -> SafeString:
        kind, _colon, fingerprint = sighting.name.partition(":")
        return cells.code(fingerprint) if kind == "sha256" else cells.name(sighting.name)

    @admin.display(description=_("device"))
    def device_page(self, sighting: UnexpectedSighting) -> SafeString:
        if sighting.device is None:
            return cells.NOTHING
        return cells.link(links.device(sighting.device.pk), sighting.device.serial)

    @admin.display(description=_("certificate"))
    def certificate_page(self, sighting: UnexpectedSighting) -> SafeString:
        if sighting.certificate is None:
            return cells.NOTHING
        return cells.link(links.certificate(sighting.certificate.pk), cells.code(sighting.certificate.serial))

    @admin.display(description=_("reported by"))
    def reporter(self, sighting: UnexpectedSighting) -> SafeString:
        return cells.name(sighting.source)

    @admin.display(description=_("first seen"))
    def first(self, sighting: UnexpectedSighting) -> SafeString:
        return cells.when(sighting.first_seen_at, timezone.now(), to_the_minute=True)

    @admin.display(description=_("last seen"), ordering="last_seen_at")
    def last(self, sighting: UnexpectedSighting) -> SafeString:
        return cells.when(sighting.last_seen_at, timezone.now(), to_the_minute=True)

    @admin.display(description=_("times seen"))
    def times(self, sighting: UnexpectedSighting) -> str:
        return cells.count(sighting.count)
