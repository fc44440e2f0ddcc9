"""Certificates: lists that numbers and cells lead to, and a page with everything that one says."""

import ssl
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from inventory.admin import cells, filters, named
from inventory.admin.audited import ReadOnlyAdmin
from inventory.admin.listing import ListAdmin
from inventory.counters import reading
from inventory.lists.exports import CERTIFICATES
from inventory.lists.scan_plan import Portion
from inventory.lists.search import certificates_named
from inventory.models import Axis, Certificate, fleets_of
from inventory.models.certificate import CertificateQuerySet
from inventory.x509 import reading as x509_reading

_MOST_GENERATIONS = 20


class CertificateAdmin(ListAdmin, ReadOnlyAdmin):
    empty_state = _("No certificate yet. Each that is issued or imported stands here for good.")
    listing = CERTIFICATES
    change_form_template = "admin/inventory/certificate.html"
    list_order = "not_after"
    # Only columns with an index.
    sortable_by = ["code", "expires"]
    list_display = ["code", "device_serial", "site_name", "batch_name", "issuer", "expires", "state_word", "issued"]
    list_select_related = ["device", "device__site", "device__batch", "authority"]
    list_filter = [
        filters.StatusFilter,
        filters.ExpiryFilter,
        filters.CertificateFleetFilter,
        filters.CertificateSiteFilter,
        filters.CertificateBatchFilter,
        "authority",
        "profile",
        "key_type",
        "purpose",
    ]
    phrases = {"purpose=device": _("of devices")}
    search_fields = ["serial"]
    search_help_text = _(
        "Certificate serial in hex or decimal, fingerprint, or what names devices: serial, MQTT id, phone, batch, site."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Certificate]:
        certificates: CertificateQuerySet = super().get_queryset(request)  # type: ignore[assignment]  # the manager's
        return certificates.with_issuer().defer("der")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return (
            certificates_named(queryset, search_term, fleets_of(request.user)) if search_term.strip() else queryset
        ), False

    def portions(self, request: HttpRequest, changelist: ChangeList, ordering: str) -> list[Portion] | None:
        """Return on which days certificates of the list end, where a filter or the search says it by counters."""
        if ordering.lstrip("-") != "not_after":
            return None
        specs = [spec for spec in changelist.filter_specs if isinstance(spec, filters.CountedByDay)]
        counted = next((portions for spec in specs if (portions := spec.portions(request)) is not None), None)
        fleets = fleets_of(request.user)
        if counted is None:
            counted = filters.portions_named(changelist.query, fleets)
        if counted is None and fleets is not None:
            counted = filters.by_days(reading.days_of(Axis.FLEET, fleets))
        [span] = [spec.bounds for spec in changelist.filter_specs if isinstance(spec, filters.ExpiryFilter)]
        return counted and [
            each for each in counted if _meets(each, span.get("not_after__gte"), span.get("not_after__lt"))
        ]

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return lookup == "device" or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    # --- The list ---------------------------------------------------------------------------------------------------

    @admin.display(description=_("serial number"), ordering="serial")
    def code(self, certificate: Certificate) -> SafeString:
        return cells.code(certificate.serial)

    @admin.display(description=_("device"))
    def device_serial(self, certificate: Certificate) -> SafeString:
        return (
            named.from_row(certificate.device, certificate) if certificate.device else cells.name(certificate.subject)
        )

    @admin.display(description=_("site"))
    def site_name(self, certificate: Certificate) -> SafeString:
        return named.from_row(certificate.device and certificate.device.site, certificate)

    @admin.display(description=_("batch"))
    def batch_name(self, certificate: Certificate) -> SafeString:
        return named.from_row(certificate.device and certificate.device.batch, certificate)

    @admin.display(description=_("issuer"))
    def issuer(self, certificate: Certificate) -> SafeString:
        return named.from_row(certificate.authority, certificate)

    @admin.display(description=_("expires"), ordering="not_after")
    def expires(self, certificate: Certificate) -> SafeString:
        return cells.when(certificate.not_after, timezone.now())

    @admin.display(description=_("state"))
    def state_word(self, certificate: Certificate) -> SafeString:
        return cells.status(certificate, timezone.now())

    @admin.display(description=_("issued"))
    def issued(self, certificate: Certificate) -> SafeString:
        return cells.when(certificate.issued_at, timezone.now())

    # --- The page ---------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        download = path(
            "<int:pk>/pem/", self.admin_site.admin_view(self.download), name="inventory_certificate_download"
        )
        return [download, *super().get_urls()]

    def download(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send the certificate as PEM, named by device and serial."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = Certificate.objects.visible_to(request.user).select_related("device")
        certificate = found.filter(pk=pk).first()
        if certificate is None:
            raise Http404
        owner = certificate.device.serial if certificate.device else certificate.purpose
        return HttpResponse(
            ssl.DER_cert_to_PEM_cert(bytes(certificate.der)),
            content_type="application/x-pem-file",
            headers={"Content-Disposition": f'attachment; filename="{owner}-{certificate.serial[:8]}.pem"'},
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Mapping[str, Any] | None = None
    ) -> HttpResponse:
        found = Certificate.objects.visible_to(request.user).select_related(
            "device", "device__site", "device__batch", "authority", "profile"
        )
        certificate = found.filter(pk=object_id).first() if filters.is_key(object_id) else None
        context = self.page(certificate, timezone.now()) if certificate else {}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def page(self, certificate: Certificate, now: datetime) -> dict[str, Any]:
        """Return what the page shows."""
        readable = x509_reading.readable(bytes(certificate.der))
        return {
            "now": now,
            "certificate": certificate,
            "readable": readable,
            "sha256": bytes(certificate.sha256).hex(),
            "spki_sha256": bytes(certificate.spki_sha256).hex(),
            "pem": ssl.DER_cert_to_PEM_cert(bytes(certificate.der)),
            "lineage": lineage(certificate),
            "revocable": certificate.device is not None and certificate.is_revocable(now),
        }


def _meets(portion: Portion, start: datetime | None, end: datetime | None) -> bool:
    return (start is None or portion.end > start) and (end is None or portion.start < end)


def lineage(certificate: Certificate) -> list[Certificate]:
    """Return the certificates this one came from and those that came from it, oldest first."""
    ancestors: list[Certificate] = []
    parent = certificate.predecessor
    while parent is not None and len(ancestors) < _MOST_GENERATIONS:
        ancestors.append(parent)
        parent = parent.predecessor
    descendants: list[Certificate] = []
    layer = [certificate]
    while layer and len(descendants) < _MOST_GENERATIONS:
        layer = list(Certificate.objects.with_issuer().defer("der").filter(predecessor__in=layer).order_by("issued_at"))
        descendants += layer
    return [*reversed(ancestors), certificate, *descendants]
