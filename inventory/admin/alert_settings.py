"""Who is told of what: recipients, policies with their levels, mutes, and the digests that were sent."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from inventory.admin import cells, named
from inventory.admin.audited import AuditedAdmin, ReadOnlyAdmin, actor_of
from inventory.admin.inlines import RowsInline
from inventory.admin.scoped import SharedAdmin
from inventory.alerts.acknowledgement import muted
from inventory.alerts.delivering import signing_secret
from inventory.audit import record
from inventory.models import AlertLevel, AlertPolicy, Channel, Delivery, Mute, Recipient


class RecipientAdmin(SharedAdmin, AuditedAdmin):
    empty_state = _("Nobody is told yet. Add an e-mail address or a webhook, then name it in the levels of a policy.")
    list_display = ["title", "channel", "address"]
    list_filter = ["channel"]
    search_fields = ["name", "address"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = ["name", "channel", "address"]
        if obj is None or obj.channel != Channel.WEBHOOK:
            return fields
        secret = ["secret"] if self.has_change_permission(request, obj) else []
        return [*fields, *secret, "secret_number"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["secret"]

    @admin.display(description=_("name"), ordering="name")
    def title(self, recipient: Recipient) -> SafeString:
        return cells.name(recipient.name)

    @admin.display(description=_("signing secret"))
    def secret(self, recipient: Recipient) -> SafeString:
        return cells.code(signing_secret(recipient), whole=True)


class LevelInline(RowsInline):
    model = AlertLevel
    fields = ["number", "recipients", "repeat_every", "silence"]


class AlertPolicyAdmin(SharedAdmin, AuditedAdmin):
    list_display = ["title", "applies_to", "fleet_name", "profile_name", "days", "enabled"]
    list_select_related = ["fleet", "profile"]
    list_filter = ["applies_to", "enabled"]
    inlines = [LevelInline]

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        super().save_formset(request, form, formset, change)
        changes: dict[str, Any] = {
            f"level {level.cleaned_data.get('number')}": [
                "…",
                {name: str(level.cleaned_data.get(name)) for name in level.changed_data},
            ]
            for level in formset.forms
            if level.has_changed() and level not in formset.deleted_forms
        }
        changes |= {f"level {level.instance.number}": ["…", None] for level in formset.deleted_forms}
        self.write_change(request, form.instance, changes, added=False)

    @admin.display(description=_("name"), ordering="name")
    def title(self, policy: AlertPolicy) -> SafeString:
        return cells.name(policy.name)

    @admin.display(description=_("fleet"))
    def fleet_name(self, policy: AlertPolicy) -> SafeString:
        return named.from_row(policy.fleet, policy)

    @admin.display(description=_("profile"))
    def profile_name(self, policy: AlertPolicy) -> SafeString:
        return named.from_row(policy.profile, policy)

    @admin.display(description=_("thresholds, d"))
    def days(self, policy: AlertPolicy) -> str | SafeString:
        return ", ".join(str(days) for days in policy.thresholds) or cells.NOTHING


class MuteForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    def clean_until(self) -> Any:
        until = self.cleaned_data["until"]
        if until <= (self.instance.created_at or timezone.now()):
            raise forms.ValidationError(_("A mute ends after it began; choose a later time."))
        return until


class MuteAdmin(AuditedAdmin):
    """Mutes of whole fleets are made here, those of one certificate on its alert. Bring the end nearer to end one."""

    empty_state = _("Nothing is muted. A mute is made on the page of an alert, or here for a whole fleet.")
    form = MuteForm
    list_display = ["title", "until_when", "why", "made", "created_by"]
    list_select_related = ["certificate", "fleet"]
    list_filter = ["fleet"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        subject = ["certificate", "fleet", "about"] if obj else ["fleet"]
        return [*subject, "until", "reason", *(["created_at", "created_by"] if obj else [])]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["certificate", "fleet", "about", "reason", "created_at", "created_by"] if obj else []

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if "fleet" in form.base_fields:
            form.base_fields["fleet"].required = True
        return form

    def save_model(self, request: HttpRequest, obj: Mute, form: Any, change: bool) -> None:  # type: ignore[override]
        if change:
            super().save_model(request, obj, form, change)
            return
        now, actor = timezone.now(), actor_of(request)
        obj.created_at, obj.created_by = now, actor.name
        obj.save()
        record.record([muted(obj, now=now, actor=actor)])

    @admin.display(description=_("of what"))
    def title(self, mute: Mute) -> SafeString:
        return cells.name(mute)

    @admin.display(description=_("until"), ordering="until")
    def until_when(self, mute: Mute) -> SafeString:
        return cells.when(mute.until, timezone.now())

    @admin.display(description=_("reason"))
    def why(self, mute: Mute) -> SafeString:
        return cells.name(mute.reason)

    @admin.display(description=_("muted"), ordering="created_at")
    def made(self, mute: Mute) -> SafeString:
        return cells.when(mute.created_at, timezone.now())


class DeliveryAdmin(ReadOnlyAdmin):
    empty_state = _("No digest yet. Each sweep writes at most one for each recipient.")
    ordering = ["-created_at"]
    list_display = ["to", "written", "certificates", "attempts", "outcome", "why"]
    list_display_links = None
    list_select_related = ["recipient"]
    list_filter = [("delivered_at", admin.EmptyFieldListFilter), "recipient"]

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return lookup == "delivered_at__isnull" or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    @admin.display(description=_("to"))
    def to(self, delivery: Delivery) -> SafeString:
        return named.from_row(delivery.recipient, delivery)

    @admin.display(description=_("written"), ordering="created_at")
    def written(self, delivery: Delivery) -> SafeString:
        return cells.when(delivery.created_at, timezone.now(), to_the_minute=True)

    @admin.display(description=_("state"))
    def outcome(self, delivery: Delivery) -> SafeString:
        if delivery.delivered_at:
            return cells.state("good", _("delivered"))
        return cells.state("late", _("refused")) if delivery.problem else cells.state("attention", _("waiting"))

    @admin.display(description=_("why"))
    def why(self, delivery: Delivery) -> SafeString:
        return cells.name(delivery.problem)
