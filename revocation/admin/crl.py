"""Published CRLs, newest first; the page of one answers whether a certificate is in it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.admin import cells, links, named
from inventory.admin.audited import ReadOnlyAdmin
from inventory.models import Certificate, FleetIds, fleets_of
from inventory.models.access import NO_FLEET
from inventory.x509.der import DerError
from inventory.x509.serials import stored_forms
from revocation import crl_files, membership
from revocation.crl import Entry
from revocation.models import Crl, CrlQuerySet

_LISTED = ("authority_name", "scope", "number", "made", "ends", "state", "entry_count", "byte_count")
_MOST_ENTRIES = 100


@dataclass(frozen=True)
class ListedEntry:
    """An entry, and the certificate that it is about, where that may be seen."""

    entry: Entry
    serial: str
    certificate_id: int | None
    device: str | None


class CrlAdmin(ReadOnlyAdmin):
    empty_state = gettext_lazy("No CRL yet. Each authority publishes its own once it is established.")
    change_form_template = "admin/revocation/crl.html"
    ordering = ["-published_at", "-id"]
    list_display = _LISTED
    list_display_links = ["number"]
    list_filter = ["authority"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Crl]:
        crls: CrlQuerySet = super().get_queryset(request)  # type: ignore[assignment]  # the manager's
        return crls.with_newest().select_related("authority")

    # --- The list ---------------------------------------------------------------------------------------------------

    @admin.display(description=gettext_lazy("authority"), ordering="authority__name")
    def authority_name(self, crl: Crl) -> SafeString:
        return named.from_row(crl.authority, crl)

    @admin.display(description=gettext_lazy("shard"), ordering="shard")
    def scope(self, crl: Crl) -> str:
        return _("all") if crl.shard is None else str(crl.shard)

    @admin.display(description=gettext_lazy("published"), ordering="published_at")
    def made(self, crl: Crl) -> SafeString:
        return cells.when(crl.published_at, timezone.now(), to_the_minute=True)

    @admin.display(description=gettext_lazy("nextUpdate"), ordering="next_update")
    def ends(self, crl: Crl) -> SafeString:
        return cells.when(crl.next_update, timezone.now(), to_the_minute=True)

    @admin.display(description=gettext_lazy("state"))
    def state(self, crl: Crl) -> SafeString:
        return _state(crl, timezone.now())

    @admin.display(description=gettext_lazy("revoked certificates"), ordering="entries")
    def entry_count(self, crl: Crl) -> str:
        return cells.count(crl.entries)

    @admin.display(description=gettext_lazy("size, bytes"), ordering="size")
    def byte_count(self, crl: Crl) -> str:
        return cells.count(crl.size)

    # --- The page ---------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        guarded = self.admin_site.admin_view(self.download)
        return [path("<int:pk>/file/", guarded, name="revocation_crl_download"), *super().get_urls()]

    def download(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Send exactly this CRL, as verifiers get it; 404 once another is in its place."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = Crl.objects.visible_to(request.user).select_related("authority").filter(pk=pk).first()
        scope = membership.scope_of(row) if row else None
        stream = crl_files.opened(scope, row.number) if row and scope else None
        if row is None or scope is None or stream is None:
            raise Http404
        name = f"{scope.authority}-{scope.name}-{row.number}.crl"
        return FileResponse(stream, content_type="application/pkix-crl", as_attachment=True, filename=name)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        page = self.page(request, row, timezone.now()) if row and self.has_view_permission(request, row) else {}
        return super().change_view(request, object_id, form_url, {**page, **(extra_context or {})})

    def page(self, request: HttpRequest, row: Crl, now: datetime) -> dict[str, Any]:
        """Return what the page shows. The file is read whole only when it is asked for a serial number."""
        may_see = request.user.has_perm("inventory.view_certificate")
        fleets = fleets_of(request.user) if may_see else NO_FLEET
        serial = request.GET.get("serial", "").strip()
        forms = stored_forms(serial)
        newest = _newest(row)
        entries = _first_entries(row)
        return {
            "now": now,
            "crl": row,
            "state": _state(row, now),
            "address": membership.scope_of(row).address,
            "sha256": bytes(row.sha256).hex(),
            "newest": newest if newest["number"] > row.number else None,
            "next_publication": membership.next_publication(row, now) if newest["id"] == row.pk else None,
            "in_place": entries is not None,
            "entries": _listed(row, entries or [], fleets),
            "left_out": max(row.entries - _MOST_ENTRIES, 0),
            "serial": serial,
            "understood": bool(forms),
            "answer": membership.ask(row, forms, fleets) if forms and entries is not None else None,
            "sees_all": fleets is None,
        }


def _newest(crl: Crl) -> dict[str, int]:
    found: dict[str, int] = crl.newest  # type: ignore[attr-defined]  # annotated in get_queryset
    return found


def _state(crl: Crl, now: datetime) -> SafeString:
    newest = _newest(crl)
    if newest["number"] > crl.number:
        word = _("superseded by number %(number)s") % {"number": newest["number"]}
        return cells.state("neutral", cells.link(links.page("revocation_crl", newest["id"]), word))
    return cells.state("good", _("current")) if crl.next_update > now else cells.state("late", _("ended"))


def _first_entries(row: Crl) -> list[Entry] | None:
    """Return what the CRL begins with, None when its file is not in place or is damaged."""
    stream = crl_files.opened(membership.scope_of(row), row.number)
    if stream is None:
        return None
    with stream, suppress(DerError):
        return crl_files.first_entries(stream.fileno(), _MOST_ENTRIES)
    return None


def _listed(row: Crl, entries: Sequence[Entry], fleets: FleetIds) -> list[ListedEntry]:
    """Return the entries with their certificates. One query."""
    serials = [f"{entry.serial:x}" for entry in entries]
    seen = Certificate.objects.of_fleets(fleets).filter(authority=row.authority_id, serial__in=serials)
    found = {serial: (pk, device) for serial, pk, device in seen.values_list("serial", "pk", "device__serial")}
    return [
        ListedEntry(entry, serial, *found.get(serial, (None, None)))
        for entry, serial in zip(entries, serials, strict=True)
    ]
