"""Pages of users and tokens, and those on which the packages meet: what renewal knows of devices and certificates."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from certportal import queue_pages  # noqa: F401  (registers the pages of the queues)
from certportal.models import ApiToken, User
from inventory import admin as inventory_admin
from inventory.admin import cells
from inventory.admin.audited import AuditedAdmin, ReadOnlyAdmin, actor_of
from inventory.audit import record
from inventory.devices import timeline
from inventory.models import AuditAction, Certificate, Device, FleetMembership, fleets_of
from renewal import story as renewal_story
from renewal.admin import planning
from renewal.admin.filters import CoverageFilter
from renewal.models import EnrolmentSecret


@admin.register(Device)
class DeviceAdmin(inventory_admin.DeviceAdmin):
    """A device with the messages and campaigns that concern it."""

    def past(self, device: Device, certificates: list[Certificate], now: datetime) -> list[timeline.Moment]:
        return [*super().past(device, certificates, now), *renewal_story.past(device)]

    def outlook(self, device: Device, certificates: list[Certificate], now: datetime) -> timeline.Outlook:
        own = super().outlook(device, certificates, now)
        # What stops a device weighs more than what a campaign would do to it.
        return own if own.tone in {"stopped", "late"} else renewal_story.outlook(device, now) or own

    def page(self, device: Device, now: datetime) -> dict[str, Any]:
        secrets = EnrolmentSecret.objects.filter(device=device)
        return {
            **super().page(device, now),
            "usable_secrets": secrets.filter(spent_at__isnull=True, expires_at__gt=now).count(),
            "spent_secrets": secrets.filter(spent_at__isnull=False).count(),
        }


@admin.register(Certificate)
class CertificateAdmin(inventory_admin.CertificateAdmin):
    """Certificates, with what is planned for them: from the list of a cell it is one click to a campaign."""

    change_list_template = "admin/inventory/certificates.html"
    list_filter = [CoverageFilter, *inventory_admin.CertificateAdmin.list_filter]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        plan = {"plan_url": planning.url_for_list(request.GET, fleets_of(request.user))}
        page: HttpResponse = super().changelist_view(request, {**plan, **(extra_context or {})})
        return page


class FleetsInline(admin.TabularInline):  # type: ignore[type-arg]  # generic only in the stubs
    """The fleets of a person, given and taken by superusers."""

    model = FleetMembership
    extra = 0
    verbose_name_plural = _("fleets, of who does not see all")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return fleets_of(request.user) is None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    has_change_permission = has_delete_permission = has_add_permission


def _fleet_names(person: User) -> list[str]:
    return list(person.fleet_memberships.order_by("fleet__slug").values_list("fleet__slug", flat=True))


@admin.register(User)
class PersonAdmin(AuditedAdmin, UserAdmin):  # type: ignore[type-arg]
    """People. They are made inactive, never deleted: the audit log names them."""

    secret_fields = ("password1", "password2", "password")
    inlines = [FleetsInline]
    fieldsets = [
        *(UserAdmin.fieldsets or ()),
        (
            _("Fleets"),
            {"fields": ["all_fleets"], "description": _("Whose devices the person sees, of what the roles open.")},
        ),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        own = super().get_readonly_fields(request, obj)
        # Who may change people could give himself or herself every fleet.
        return own if request.user.is_superuser else [*own, "all_fleets"]

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        person = form.instance
        before = _fleet_names(person)
        super().save_formset(request, form, formset, change)
        if (after := _fleet_names(person)) != before:
            self.write_change(request, person, {"fleets": [before, after]}, added=False)


admin.site.unregister(Group)


@admin.register(Group)
class RoleAdmin(AuditedAdmin, GroupAdmin):
    """Roles."""


_SHOWN_OF_TOKEN = ("name", "user", "scope_list", "made", "ends", "used")


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens are shown without their secrets; `manage.py api_token` makes them. Deleting one withdraws it."""

    list_display = _SHOWN_OF_TOKEN
    list_select_related = ["user"]
    fields = _SHOWN_OF_TOKEN
    readonly_fields = _SHOWN_OF_TOKEN

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("certportal.delete_apitoken")

    def delete_model(self, request: HttpRequest, obj: ApiToken) -> None:
        token = record.event(
            AuditAction.CONFIGURATION_CHANGED,
            now=timezone.now(),
            actor=actor_of(request),
            object_name=f"{obj._meta.verbose_name}: {obj}",
            details={"model": obj._meta.label_lower, "withdrawn": True},
        )
        super().delete_model(request, obj)
        record.record([token])

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:  # type: ignore[override]
        return None

    @admin.display(description=_("scopes"))
    def scope_list(self, token: ApiToken) -> str:
        return ", ".join(token.scopes) or str(_("all of its user"))

    @admin.display(description=_("created"), ordering="created")
    def made(self, token: ApiToken) -> SafeString:
        return cells.when(token.created, timezone.now())

    @admin.display(description=_("expires"), ordering="expiry")
    def ends(self, token: ApiToken) -> SafeString:
        return cells.when(token.expiry, timezone.now())

    @admin.display(description=_("last used"), ordering="last_used_at")
    def used(self, token: ApiToken) -> SafeString:
        return cells.when(token.last_used_at, timezone.now(), to_the_minute=True)
