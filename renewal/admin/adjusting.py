"""The settings of a campaign as a form: part of the plan, and changed later on a page of their own."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.admin import links
from inventory.admin.audited import actor_of
from renewal.campaigns import settings
from renewal.campaigns.settings import Limits, NotAdjusted, Pace, Settings
from renewal.models import Campaign


class TimeInput(forms.TimeInput):
    """The browser's own clock."""

    input_type = "time"

    def __init__(self) -> None:
        super().__init__(format="%H:%M")


class SettingsForm(forms.Form):
    """What may be changed while a campaign runs."""

    triggers_per_minute = forms.IntegerField(
        label=gettext_lazy("Messages a minute"), min_value=1, max_value=1_000_000, initial=5000
    )
    triggers_per_minute_and_site = forms.IntegerField(
        label=gettext_lazy("Messages a minute and site"),
        min_value=1,
        max_value=1_000_000,
        required=False,
        help_text=gettext_lazy("Empty: no limit of their own."),
    )

    window_from = forms.TimeField(label=gettext_lazy("Messages leave from"), widget=TimeInput, required=False)
    window_to = forms.TimeField(
        label=gettext_lazy("to"),
        widget=TimeInput,
        required=False,
        help_text=gettext_lazy("On the clocks of each device's site. Empty: at any time."),
    )
    sms_budget = forms.IntegerField(
        label=gettext_lazy("SMS at most"),
        min_value=0,
        max_value=100_000_000,
        required=False,
        help_text=gettext_lazy("Of the whole campaign. Empty: as many as the ladder asks for."),
    )
    failures_to_open = forms.FloatField(
        label=gettext_lazy("The next wave opens below"),
        min_value=0.1,
        max_value=90,
        initial=f"{100 * Limits.to_open:g}",
        help_text=gettext_lazy("Percent that fail of those that answered, shown by their 95 % interval."),
    )
    failures_to_pause = forms.FloatField(
        label=gettext_lazy("It pauses itself above"),
        min_value=0.1,
        max_value=90,
        initial=f"{100 * Limits.to_pause:g}",
        help_text=gettext_lazy("Percent that fail of those that answered, in any wave, and not by chance."),
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        begins, ends = values.get("window_from"), values.get("window_to")
        if (begins is None) != (ends is None) and not {"window_from", "window_to"} & set(self.errors):
            self.add_error("window_to", _("A window has a beginning and an end; leave both empty for any time."))
        elif begins is not None and begins == ends:
            self.add_error("window_to", _("The window has no length; leave both empty for any time."))
        return values

    def settings(self) -> Settings:
        """Return what was chosen."""
        values = self.cleaned_data
        return Settings(
            Pace(values["triggers_per_minute"], values["triggers_per_minute_and_site"]),
            Limits(values["failures_to_open"] / 100, values["failures_to_pause"] / 100),
            None if values["window_from"] is None else (values["window_from"], values["window_to"]),
            values["sms_budget"],
        )


def initial_of(chosen: Settings) -> dict[str, Any]:
    """Return the values of a `SettingsForm`."""
    percent = {name: f"{100 * getattr(chosen.limits, name):g}" for name in ("to_open", "to_pause")}
    return {
        **chosen.columns(),
        "failures_to_open": percent["to_open"],
        "failures_to_pause": percent["to_pause"],
    }


def adjust_view(request: HttpRequest, campaign: Campaign, site: admin.AdminSite) -> HttpResponse:
    """Show the settings of a campaign; change them on POST."""
    if not request.user.has_perm("renewal.change_campaign"):
        raise PermissionDenied("renewal.change_campaign")
    page = HttpResponseRedirect(links.page("renewal_campaign", campaign.pk))
    form = SettingsForm(request.POST or None, initial=initial_of(settings.of(campaign)))
    if request.method == "POST" and form.is_valid():
        try:
            done = settings.adjust(campaign, form.settings(), now=timezone.now(), actor=actor_of(request))
        except NotAdjusted as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, _("The settings hold from the next tick on.") if done else _("Nothing changed."))
        return page
    context = {
        **site.each_context(request),
        "title": _("Change the settings"),
        "campaign": campaign,
        "form": form,
        "opts": Campaign._meta,
    }
    return TemplateResponse(request, "admin/renewal/adjust.html", context)
