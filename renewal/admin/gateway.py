"""Gateways: what each driver wants to know, how it stands, and one message to oneself."""

from copy import deepcopy
from datetime import datetime
from types import new_class
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from inventory.admin import cells, links, named
from inventory.admin.audited import AuditedAdmin, actor_of
from inventory.admin.scoped import SharedAdmin
from inventory.models import FleetIds, fleets_of
from renewal.channels import capacity, console, sms_text, trying, twilio, webhook
from renewal.channels.drivers import FORMS, WITH_SECRET
from renewal.channels.messages import Fate
from renewal.channels.sealing import sealed
from renewal.channels.templates import unknown
from renewal.models import Attempt, Channel, ChannelTrouble, Driver, Gateway

# A driver's own fields stand beside those of the row, under names of their own.
_OWN = "own_"
_SMS_FIELDS = ["sender", "text"]
# The newest attempts among which those of a gateway are looked for: none is counted or sorted beyond these.
_LOOKED_AT = 2000
_MOST_SHOWN = 10


class GatewayForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    """The row and what its driver wants to know, which that driver's own form validates."""

    secret = forms.CharField(
        label=gettext_lazy("secret"),
        required=False,
        max_length=500,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("Password or token. It is never shown again; empty leaves it as it is."),
    )

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if wrong := unknown(text, sms_text.PLACEHOLDERS):
            raise forms.ValidationError(_("{%(name)s} is no placeholder of this text."), params={"name": wrong[0]})
        return text

    def clean(self) -> dict[str, Any] | None:
        """Refuse what the driver refuses, and to enable what cannot send. Raises ValidationError."""
        cleaned = super().clean()
        if self.instance.pk is None:
            return cleaned
        driver = Driver(self.instance.driver)
        if driver in FORMS:
            self._clean_own(FORMS[driver])
        # The row's constraint says it too, in words that only a database knows: the channel is no field of this form.
        others = Gateway.objects.filter(
            channel=self.instance.channel, fleet=self.cleaned_data.get("fleet"), enabled=True
        )
        if self.cleaned_data.get("enabled") and others.exclude(pk=self.instance.pk).exists():
            self.add_error("enabled", _("Another gateway is enabled for this channel and fleet: disable it first."))
        has_secret = bool(self.cleaned_data.get("secret")) or self.instance.sealed_secret is not None
        if self.cleaned_data.get("enabled") and driver in WITH_SECRET and not has_secret:
            self.add_error("secret", _("The gateway cannot be enabled without its secret."))
        secret, text = self.cleaned_data.get("secret"), self.cleaned_data.get("text")
        if secret and text and secret in text:
            self.add_error("text", _("The text holds the secret of the gateway."))
        return cleaned

    def _clean_own(self, own_form: type[forms.Form]) -> None:
        own = own_form({name: self.data.get(self.add_prefix(_OWN + name)) for name in own_form.base_fields})
        if own.is_valid():
            self.instance.settings = own.cleaned_data
            return
        for name, errors in own.errors.items():
            self.add_error(_OWN + name if name in own.fields else None, list(errors))


class TryForm(forms.Form):
    """To whom one message goes."""

    address = forms.CharField(max_length=300, required=False)


def _form_of(gateway: Gateway | None) -> type[GatewayForm]:
    """Return the form of a gateway with the fields of its driver, filled with what was set."""
    own_form = FORMS.get(Driver(gateway.driver)) if gateway else None
    if gateway is None or own_form is None:
        return GatewayForm
    fields = {}
    for name, field in own_form.base_fields.items():
        own = fields[_OWN + name] = deepcopy(field)
        own.initial = gateway.settings.get(name, field.initial)
    return new_class("GatewayFormOfDriver", (GatewayForm,), exec_body=lambda body: body.update(fields))


class GatewayAdmin(SharedAdmin, AuditedAdmin):
    empty_state = gettext_lazy("No gateway yet: triggers go over MQTT alone. Add one for SMS, or for a backend.")
    change_form_template = "admin/renewal/gateway.html"
    list_display = ["title", "channel", "driver_name", "fleet_name", "standing", "today"]
    list_select_related = ["fleet"]
    list_filter = ["channel", "enabled"]
    search_fields = ["name"]
    # People write keys into headers and bodies, too.
    secret_fields = ("secret", f"{_OWN}headers", f"{_OWN}body")

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        return [path("<int:pk>/try/", guard(self.try_it), name="renewal_gateway_try"), *super().get_urls()]

    # --- The form ---------------------------------------------------------------------------------------------------

    def get_form(self, request: HttpRequest, obj: Gateway | None = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["form"] = _form_of(obj)
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Gateway | None = None) -> Any:
        if obj is None:
            # What else there is to know depends on the driver: it is asked on the next page.
            return [(None, {"fields": ["name", "driver", "fleet"]})]
        parts: list[Any] = [(None, {"fields": ["name", "driver", "fleet", "enabled"]})]
        driver = Driver(obj.driver)
        if self.has_change_permission(request, obj):
            own = [_OWN + name for name in FORMS[driver].base_fields] if driver in FORMS else []
            own += ["secret"] if driver in WITH_SECRET else []
            parts += [(_("Driver"), {"fields": own})] if own else []
        if obj.channel == Channel.SMS:
            parts.append((_("Message"), {"fields": _SMS_FIELDS}))
        parts.append((_("Limits"), {"fields": ["daily_cap", "quiet_from", "quiet_to", "cost"]}))
        return parts

    def get_readonly_fields(self, request: HttpRequest, obj: Gateway | None = None) -> list[str]:
        return ["driver"] if obj else []

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "cost" and field is not None:
            field.help_text = settings.CURRENCY
        return field

    def save_model(self, request: HttpRequest, obj: Gateway, form: Any, change: bool) -> None:  # type: ignore[override]
        if secret := form.cleaned_data.get("secret"):
            obj.sealed_secret = sealed(secret)
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Gateway, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, _("Added. Say now how it is reached, try it, and enable it."))
        return HttpResponseRedirect(links.page("renewal_gateway", obj.pk))

    # --- How it stands ----------------------------------------------------------------------------------------------

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        gateway = kwargs.get("obj")
        if gateway is not None:
            context.update(self._page(request, gateway, timezone.now()))
        return super().render_change_form(request, context, *args, **kwargs)

    def _page(self, request: HttpRequest, gateway: Gateway, now: datetime) -> dict[str, Any]:
        driver = Driver(gateway.driver)
        may_change = self.has_change_permission(request, gateway)
        parts, gsm = sms_text.parts(sms_text.example(gateway.text))
        return {
            "gateway": gateway,
            "now": now,
            "trouble": ChannelTrouble.objects.current(now).filter(pk=gateway.key).first(),
            "sent_today": capacity.sent_today(gateway, now),
            "parts": _parts_line(parts, gsm) if gateway.channel == Channel.SMS else "",
            "last_attempts": _last_attempts(gateway, fleets_of(request.user)),
            "console": console.last(gateway.pk) if driver == Driver.CONSOLE and may_change else [],
            "callback": settings.PUBLIC_PORTAL_URL + twilio.callback_path(gateway.pk)
            if driver == Driver.TWILIO
            else "",
            "signing_secret": _signing_secret(gateway) if driver == Driver.WEBHOOK and may_change else "",
            "may_try": may_change and (driver not in FORMS or bool(gateway.settings)),
            "address_asked": _ADDRESS_ASKED[Channel(gateway.channel)],
        }

    def try_it(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send one message to whom the person names, and tell the audit log."""
        gateway = self.get_queryset(request).select_related("fleet").filter(pk=pk).first()
        if not self.has_change_permission(request, gateway):
            raise PermissionDenied("renewal.change_gateway")
        if gateway is None:
            raise Http404
        if request.method != "POST":
            return HttpResponseRedirect(links.page("renewal_gateway", pk))
        form = TryForm(request.POST)
        if form.is_valid():
            # In no transaction: nothing waits for a gateway that hangs.
            delivery = trying.send_one(
                gateway, form.cleaned_data["address"], now=timezone.now(), actor=actor_of(request), clock=timezone.now
            )
            if delivery.fate == Fate.TAKEN:
                messages.success(request, _("The next hop took it. Look at your device."))
            else:
                messages.error(request, cells.visible(delivery.detail))
        return HttpResponseRedirect(links.page("renewal_gateway", pk))

    # --- The list ---------------------------------------------------------------------------------------------------

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def title(self, gateway: Gateway) -> SafeString:
        return cells.name(gateway.name)

    @admin.display(description=gettext_lazy("driver"))
    def driver_name(self, gateway: Gateway) -> str:
        return str(Driver(gateway.driver).label)

    @admin.display(description=gettext_lazy("fleet"))
    def fleet_name(self, gateway: Gateway) -> SafeString:
        return named.from_row(gateway.fleet, gateway) if gateway.fleet else cells.name(_("all fleets"))

    @admin.display(description=gettext_lazy("state"))
    def standing(self, gateway: Gateway) -> SafeString:
        if not gateway.enabled:
            return cells.state("neutral", _("disabled"))
        if ChannelTrouble.objects.current(timezone.now()).filter(pk=gateway.key).exists():
            return cells.state("late", _("in trouble"))
        return cells.state("good", _("enabled"))

    @admin.display(description=gettext_lazy("today"))
    def today(self, gateway: Gateway) -> str:
        sent = cells.count(capacity.sent_today(gateway, timezone.now()))
        return sent if gateway.daily_cap is None else f"{sent} / {cells.count(gateway.daily_cap)}"


_ADDRESS_ASKED = {
    Channel.MQTT: gettext_lazy("fleet/MQTT id"),
    Channel.SMS: gettext_lazy("phone number, such as +31612345678"),
    Channel.WEBHOOK: "",
}


def _parts_line(parts: int, gsm: bool) -> str:
    line = ngettext(
        "With values of usual length the text is %(count)s SMS.",
        "With values of usual length the text is %(count)s SMS: each is paid.",
        parts,
    ) % {"count": cells.count(parts)}
    return line if gsm else f"{line} {_('It has characters outside of the GSM alphabet: an SMS holds 70 of them.')}"


def _signing_secret(gateway: Gateway) -> str:
    return webhook.signing_secret(gateway.pk, int(gateway.settings.get("secret_number", 1)))


def _last_attempts(gateway: Gateway, fleets: FleetIds) -> list[Attempt]:
    """Return the last messages that a gateway took, of the devices that a person sees. One query."""
    newest = Attempt.objects.order_by("-pk").values("pk")[:_LOOKED_AT]
    taken = Attempt.objects.filter(pk__in=newest, reference__startswith=gateway.reference_of(""))
    if fleets is not None:
        taken = taken.filter(target__campaign__fleet_id__in=fleets)
    return list(taken.select_related("target__device").order_by("-pk")[:_MOST_SHOWN])
