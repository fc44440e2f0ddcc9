"""What all our pages of the admin share: nothing is deleted, and each change is an entry of the audit log."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from inventory.admin import links
from inventory.admin.form_fields import FORM_FIELDS
from inventory.admin.scoped import ScopedAdmin
from inventory.audit import record
from inventory.audit.changes import changed
from inventory.audit.record import Actor
from inventory.models import AuditAction
from inventory.models.audit import ActorKind

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


def actor_of(request: HttpRequest) -> Actor:
    """Return the person behind a request of the admin."""
    address = record.without_zone(request.META.get("REMOTE_ADDR"))
    return Actor(ActorKind.USER, request.user.get_username(), address, user_id=request.user.pk)


def record_change(obj: Model, changes: dict[str, Any], *, actor: Actor, now: datetime, added: bool = False) -> None:
    """Write old and new values by field to the audit log, in the transaction of the change."""
    record.record([changed(obj, changes, actor=actor, now=now, added=added)])


class ReadOnlyAdmin(ScopedAdmin):
    """Lists and pages without a way to change anything."""

    actions: Any = None
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # one count a choice, over the whole table
    # What would be listed here, and how it gets here.
    empty_state: "StrOrPromise" = _("Nothing here yet.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AuditedAdmin(ScopedAdmin):
    """A form whose changes are written to the audit log, old and new values, in the transaction of the change."""

    actions = None
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    formfield_overrides = FORM_FIELDS
    # What would be listed here, and how it gets here.
    empty_state: "StrOrPromise" = _("Nothing here yet.")
    # Fields whose values never enter the log.
    secret_fields: tuple[str, ...] = ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        # One button saves; the page that follows says what became of it.
        plain = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, {**context, **plain}, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Model, form: "ModelForm[Any]", change: bool) -> None:
        changes = {
            name: [_text(form.initial.get(name)) if change else None, _text(form.cleaned_data.get(name))]
            for name in form.changed_data
        }
        for name in changes.keys() & set(self.secret_fields):
            changes[name] = [None, None]
        super().save_model(request, obj, form, change)
        self.write_change(request, obj, changes, added=not change)

    def write_change(self, request: HttpRequest, obj: Model, changes: dict[str, Any], *, added: bool) -> None:
        """Record the change; a form saved without one leaves no entry."""
        if changes or added:
            record_change(obj, changes, actor=actor_of(request), now=timezone.now(), added=added)

    # Django's own log of admin actions is not ours: the audit log is append-only and names more.
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override]
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override]
        return None

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        obj = self.get_object(request, object_id)
        if obj is None:
            raise Http404
        # With the action: changes of settings are few, and found by it among millions of events.
        action = AuditAction.CONFIGURATION_CHANGED.value
        return HttpResponseRedirect(links.audit(action=action, object_name=f"{obj._meta.verbose_name}: {obj}"))


def _text(value: Any) -> Any:
    """Return a value as it stands in the JSON of an entry."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list | tuple | QuerySet):
        return [_text(item) for item in value]
    if isinstance(value, Model):
        return value.pk  # as a form's initial value is
    return str(value)
