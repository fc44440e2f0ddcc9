"""Fleets, their groups, profiles and authorities: what is set once and seldom changed."""

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from inventory.admin import cells, links, named
from inventory.admin.audited import AuditedAdmin
from inventory.admin.filters import FleetFilter
from inventory.admin.scoped import SharedAdmin
from inventory.expiry.cliffs import cliffs
from inventory.models import Authority, Batch, Certificate, Fleet, Profile, Site, fleets_of

_DEVICE, _CERTIFICATE = "inventory.view_device", "inventory.view_certificate"


class _WithRows(AuditedAdmin):
    """A page that leads to the rows that belong to what it shows."""

    change_form_template = "admin/inventory/with_rows.html"

    def rows_of(self, obj: Any) -> list[tuple[str, Any, str]]:
        """Return address, word and permission of each list of rows that belong to `obj`."""
        raise NotImplementedError

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        obj = kwargs.get("obj")
        rows = self.rows_of(obj) if obj is not None else []
        context["rows"] = [(url, word) for url, word, permission in rows if request.user.has_perm(permission)]
        return super().render_change_form(request, context, *args, **kwargs)


class FleetAdmin(_WithRows):
    list_display = ["title", "slug", "authority_page", "profile_page", "devices", "certificates"]
    list_select_related = ["authority", "profile"]
    prepopulated_fields = {"slug": ["name"]}
    search_fields = ["name", "slug"]

    def rows_of(self, obj: Fleet) -> list[tuple[str, Any, str]]:
        return [
            (links.devices(fleet=obj.pk), _("devices"), _DEVICE),
            (links.certificates(fleet=obj.pk), _("certificates"), _CERTIFICATE),
            (links.changelist("inventory_site", fleet=obj.pk), _("sites"), "inventory.view_site"),
            (links.changelist("inventory_batch", fleet=obj.pk), _("batches"), "inventory.view_batch"),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        # It would be none of theirs.
        return fleets_of(request.user) is None and super().has_add_permission(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # The label is written in the settings of every device.
        return ("slug",) if obj else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        return {} if obj else {"slug": ["name"]}

    @admin.display(description=_("name"), ordering="name")
    def title(self, fleet: Fleet) -> SafeString:
        return cells.name(fleet.name)

    @admin.display(description=_("authority"), ordering="authority")
    def authority_page(self, fleet: Fleet) -> SafeString:
        return named.from_row(fleet.authority, fleet)

    @admin.display(description=_("profile"), ordering="profile")
    def profile_page(self, fleet: Fleet) -> SafeString:
        return named.from_row(fleet.profile, fleet)

    @admin.display(description=_("devices"))
    def devices(self, fleet: Fleet) -> SafeString:
        return cells.link(links.devices(fleet=fleet.pk), _("devices"))

    @admin.display(description=_("certificates"))
    def certificates(self, fleet: Fleet) -> SafeString:
        return cells.link(links.certificates(fleet=fleet.pk), _("certificates"))


class _GroupAdmin(_WithRows):
    list_filter = [FleetFilter]
    list_select_related = ["fleet"]
    search_fields = ["name"]

    def rows_of(self, obj: Site | Batch) -> list[tuple[str, Any, str]]:
        question = {"fleet": obj.fleet_id, "site" if isinstance(obj, Site) else "batch": obj.pk}
        return [
            (links.devices(**question), _("devices"), _DEVICE),
            (links.certificates(expires_from=None, expires_before=None, **question), _("certificates"), _CERTIFICATE),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Its devices are of that fleet and stay in it.
        return ("fleet",) if obj else ()

    @admin.display(description=_("name"), ordering="name")
    def title(self, group: Site | Batch) -> SafeString:
        return cells.name(group.name)

    @admin.display(description=_("fleet"))
    def fleet_name(self, group: Site | Batch) -> SafeString:
        return named.from_row(group.fleet, group)

    @admin.display(description=_("devices"))
    def devices(self, group: Site | Batch) -> SafeString:
        question = {"fleet": group.fleet_id, "site" if isinstance(group, Site) else "batch": group.pk}
        return cells.link(links.devices(**question), _("devices"))


class SiteAdmin(_GroupAdmin):
    list_display = ["title", "fleet_name", "time_zone", "devices"]


class BatchAdmin(_GroupAdmin):
    list_display = ["title", "fleet_name", "manufactured_on", "devices"]


class ProfileAdmin(SharedAdmin, _WithRows):
    change_form_template = "admin/inventory/profile.html"
    list_display = ["title", "slug", "lifetime", "jitter", "window", "key_types", "certificates"]
    search_fields = ["name", "slug"]
    fieldsets = [
        (None, {"fields": ["name", "slug"]}),
        (_("How long"), {"fields": ["validity", "jitter_max", "renewal_window"]}),
        (_("What"), {"fields": ["subject_template", "san_templates", "key_types", "extended_key_usages"]}),
        (_("Keys"), {"fields": ["allow_same_key", "max_unconfirmed"]}),
    ]

    def rows_of(self, obj: Profile) -> list[tuple[str, Any, str]]:
        return [(links.certificates(profile__id__exact=obj.pk), _("certificates"), _CERTIFICATE)]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        found = [
            cliff for cliff in cliffs(timezone.now(), fleets_of(request.user)) if str(cliff.profile_id) == object_id
        ]
        return super().change_view(request, object_id, form_url, {"cliffs": found[:5], **(extra_context or {})})

    @admin.display(description=_("name"), ordering="name")
    def title(self, profile: Profile) -> SafeString:
        return cells.name(profile.name)

    @admin.display(description=_("validity"), ordering="validity")
    def lifetime(self, profile: Profile) -> str:
        return cells.span(profile.validity)

    @admin.display(description=_("jitter up to"))
    def jitter(self, profile: Profile) -> str | SafeString:
        return cells.span(profile.jitter_max) if profile.jitter_max else cells.NOTHING

    @admin.display(description=_("renewal window"))
    def window(self, profile: Profile) -> str:
        return cells.span(profile.renewal_window)

    @admin.display(description=_("certificates"))
    def certificates(self, profile: Profile) -> SafeString:
        return cells.link(links.certificates(profile__id__exact=profile.pk), _("certificates"))


class AuthorityAdmin(SharedAdmin, _WithRows):
    list_display = ["title", "slug", "parent_page", "expires", "state", "crl_shards", "certificates"]
    list_select_related = ["parent"]
    fields = ["name", "slug", "parent", "own_certificate", "expires", "crl_shards"]
    readonly_fields = ["slug", "parent", "own_certificate", "expires"]

    def rows_of(self, obj: Authority) -> list[tuple[str, Any, str]]:
        return [
            (links.certificates(authority__id__exact=obj.pk), _("certificates"), _CERTIFICATE),
            (links.changelist("revocation_crl", authority__id__exact=obj.pk), _("CRLs"), "revocation.view_crl"),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # an authority is established with its key and certificate, not by a form

    def get_queryset(self, request: HttpRequest) -> QuerySet[Authority]:
        own = Prefetch("certificate", Certificate.objects.with_issuer().defer("der"))
        return super().get_queryset(request).prefetch_related(own)

    @admin.display(description=_("name"), ordering="name")
    def title(self, authority: Authority) -> SafeString:
        return cells.name(authority.name)

    @admin.display(description=_("signed by"), ordering="parent")
    def parent_page(self, authority: Authority) -> SafeString:
        return named.from_row(authority.parent, authority)

    @admin.display(description=_("certificate"))
    def own_certificate(self, authority: Authority) -> SafeString:
        own = authority.certificate
        return cells.link(links.certificate(own.pk), cells.name(own.subject)) if own else cells.NOTHING

    @admin.display(description=_("expires"), ordering="certificate__not_after")
    def expires(self, authority: Authority) -> SafeString:
        own = authority.certificate
        return cells.when(own.not_after if own else None, timezone.now())

    @admin.display(description=_("state"))
    def state(self, authority: Authority) -> SafeString:
        return cells.status(authority.certificate, timezone.now())

    @admin.display(description=_("certificates"))
    def certificates(self, authority: Authority) -> SafeString:
        return cells.link(links.certificates(authority__id__exact=authority.pk), _("certificates"))
