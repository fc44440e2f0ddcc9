"""Pages of users and tokens, and those on which the packages meet: what renewal knows of devices and certificates."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from certportal import (
    credentials,
    expired_queue,  # noqa: F401  (registers the queue of expired devices)
    queue_pages,  # noqa: F401  (registers the pages of the queues)
)
from certportal.api.tokens import revoke_token
from certportal.models import ApiToken, User
from inventory import admin as inventory_admin
from inventory.admin import cells
from inventory.admin.audited import AuditedAdmin, ReadOnlyAdmin, actor_of
from inventory.admin.inlines import RowsInline
from inventory.devices import timeline
from inventory.models import Case, Certificate, Device, DeviceStatus, FleetMembership, fleets_of
from inventory.models.case import CaseOutcome
from inventory.models.certificate import CertificateStatus
from renewal import story as renewal_story
from renewal.admin import enrolment_secrets, planning
from renewal.admin.filters import CoverageFilter
from renewal.models import EnrolmentSecret


@admin.register(Device)
class DeviceAdmin(inventory_admin.DeviceAdmin):
    """A device with the messages and campaigns that concern it."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        plan = {"plan_url": planning.url_for_chosen("inventory_device", request.GET, fleets_of(request.user))}
        page: HttpResponse = super().changelist_view(request, {**plan, **(extra_context or {})})
        return page

    def past(self, device: Device, certificates: list[Certificate], now: datetime) -> list[timeline.Moment]:
        return [*super().past(device, certificates, now), *renewal_story.past(device)]

    def outlook(self, device: Device, certificates: list[Certificate], now: datetime) -> timeline.Outlook:
        own = super().outlook(device, certificates, now)
        # What stops a device weighs more than what a campaign would do to it.
        return own if own.tone in {"stopped", "late"} else renewal_story.outlook(device, now) or own

    def get_urls(self) -> list[URLPattern]:
        making = self.admin_site.admin_view(self.make_secret)
        return [path("<int:pk>/secret/", making, name="inventory_device_secret"), *super().get_urls()]

    def make_secret(self, request: HttpRequest, pk: int) -> HttpResponse:
        return enrolment_secrets.one_view(request, pk, self.admin_site, timezone.now())

    def page(self, device: Device, now: datetime) -> dict[str, Any]:
        secrets = EnrolmentSecret.objects.filter(device=device)
        shown = super().page(device, now)
        return {
            **shown,
            "wants_secret": _enrols_anew(device, shown["current"], shown.get("case"), now),
            "usable_secrets": secrets.filter(spent_at__isnull=True, expires_at__gt=now).count(),
            "spent_secrets": secrets.filter(spent_at__isnull=False).count(),
        }


# By which a device cannot authenticate, without being distrusted itself.
_ENDED = {CertificateStatus.EXPIRED, CertificateStatus.SUPERSEDED, CertificateStatus.ISSUER_REVOKED}


def _enrols_anew(device: Device, certificate: Certificate | None, case: Case | None, now: datetime) -> bool:
    """Tell whether a device waits for a secret: nobody distrusts it, and it has nothing to authenticate with."""
    if device.status != DeviceStatus.IN_SERVICE:
        return False
    if certificate is None:
        return True
    status = certificate.status_at(now)
    cleared = case is not None and case.outcome == CaseOutcome.CLEARED
    return status in _ENDED or (status == CertificateStatus.REVOKED and cleared)


@admin.register(Certificate)
class CertificateAdmin(inventory_admin.CertificateAdmin):
    """Certificates, with what is planned for them: from the list of a cell it is one click to a campaign."""

    change_list_template = "admin/inventory/certificates.html"
    list_filter = [CoverageFilter, *inventory_admin.CertificateAdmin.list_filter]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        seen = fleets_of(request.user)
        simple = planning.url_for_list(request.GET, seen)
        plan = {"plan_url": simple or planning.url_for_chosen("inventory_certificate", request.GET, seen)}
        page: HttpResponse = super().changelist_view(request, {**plan, **(extra_context or {})})
        return page


class FleetsInline(RowsInline):
    """The fleets of a person, given and taken by superusers."""

    model = FleetMembership
    verbose_name_plural = _("fleets, of who does not see all")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return fleets_of(request.user) is None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    has_change_permission = has_delete_permission = has_add_permission


def _fleet_names(person: User) -> list[str]:
    return list(person.fleet_memberships.order_by("fleet__slug").values_list("fleet__slug", flat=True))


# Of a person, given and taken by superusers only.
_RIGHTS = ("is_staff", "is_superuser", "owner", "groups", "user_permissions", "all_fleets")


@admin.register(User)
class PersonAdmin(AuditedAdmin, UserAdmin):  # type: ignore[type-arg]
    """People. They are made inactive, never deleted: the audit log names them.

    Only superusers give rights, set the passwords of others or touch a superuser: whoever could would be one.
    """

    secret_fields = ("password1", "password2", "password")
    filter_horizontal = ()
    inlines = [FleetsInline]
    readonly_fields = ("last_login", "date_joined")
    fieldsets = [
        *(UserAdmin.fieldsets or ()),
        (_("Service account"), {"fields": ["owner"]}),
        (
            _("Fleets"),
            {"fields": ["all_fleets"], "description": _("Whose devices the person sees, of what the roles open.")},
        ),
    ]

    def get_inlines(self, request: HttpRequest, obj: User | None = None) -> Any:
        # An account is made with name and password first, as everywhere in Django.
        return self.inlines if obj else []

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        own = super().has_change_permission(request, obj)
        return own and (obj is None or not obj.is_superuser or request.user.is_superuser)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        # Who may change people could give himself or herself every right and every fleet.
        rights = () if request.user.is_superuser else _RIGHTS
        return (*self.readonly_fields, *(("username",) if obj else ()), *rights)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        if not request.user.is_superuser:
            raise PermissionDenied
        user = self.get_object(request, unquote(id))
        if user is None:
            raise Http404
        with credentials.recorded_password(user.pk, now=timezone.now(), actor=actor_of(request)):
            page: HttpResponse = super().user_change_password(request, id, form_url)
        return page

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        # Read before anything is written; `save_related` tells what became of it.
        form.rights_before = credentials.rights_of(User.objects.get(pk=obj.pk)) if change else None
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        now, actor = timezone.now(), actor_of(request)
        credentials.record_rights(form.instance, form.rights_before, now=now, actor=actor)
        if not change:
            credentials.record_password(form.instance, now=now, actor=actor)

    def write_change(self, request: HttpRequest, obj: Model, changes: dict[str, Any], *, added: bool) -> None:
        """Tell of the rest here: rights and passwords have events of their own."""
        told = {*credentials.ACCESS_FIELDS, *self.secret_fields}
        rest = {name: pair for name, pair in changes.items() if name not in told}
        super().write_change(request, obj, rest, added=added)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        person = form.instance
        before = _fleet_names(person)
        super().save_formset(request, form, formset, change)
        if (after := _fleet_names(person)) != before:
            self.write_change(request, person, {"fleets": [before, after]}, added=False)


admin.site.unregister(Group)


@admin.register(Group)
class RoleAdmin(AuditedAdmin, GroupAdmin):
    """Roles. What one grants is for superusers to say: who could widen a role that he or she has would be one."""

    filter_horizontal = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        form.permissions_before = credentials.permissions_of(form.instance) if change else {}
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        now, actor = timezone.now(), actor_of(request)
        credentials.record_permissions(form.instance, form.permissions_before, now=now, actor=actor)

    def write_change(self, request: HttpRequest, obj: Model, changes: dict[str, Any], *, added: bool) -> None:
        rest = {name: pair for name, pair in changes.items() if name != "permissions"}
        super().write_change(request, obj, rest, added=added)


_SHOWN_OF_TOKEN = ("name", "user", "scope_list", "made", "ends", "used")


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """The tokens of all, without their secrets; people make theirs on their own page. Deleting one withdraws it."""

    list_display = _SHOWN_OF_TOKEN
    list_select_related = ["user"]
    fields = _SHOWN_OF_TOKEN
    readonly_fields = _SHOWN_OF_TOKEN

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        own = request.user.has_perm("certportal.delete_apitoken")
        return own and (obj is None or not obj.user.is_superuser or request.user.is_superuser)

    def delete_model(self, request: HttpRequest, obj: ApiToken) -> None:
        revoke_token(obj, now=timezone.now(), actor=actor_of(request))

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
