"""Alerts: what waits for an answer, and the pages on which somebody gives one."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from inventory.admin import cells, filters, links
from inventory.admin.audited import ReadOnlyAdmin, actor_of
from inventory.admin.form_fields import DayInput
from inventory.admin.listing import ListAdmin
from inventory.alerts import acknowledgement, unexpected_sightings
from inventory.alerts.infrastructure import AUTHORITY_THRESHOLDS, CERTIFICATE_THRESHOLDS
from inventory.alerts.text import own_text
from inventory.expiry.cliffs import start_of
from inventory.issuing.authority_lifetimes import earliest_retirement
from inventory.lists.exports import ALERTS
from inventory.models import Alert, AlertKind, AlertLevel, AlertPolicy, Mute, fleets_of
from inventory.models.alert import AlertQuerySet

_SAMPLE = 8
# Of a smallint.
_LARGEST = 32767
_ANSWER = "inventory.change_alert"
_MUTE = "inventory.add_mute"
_UNMUTE = "inventory.change_mute"


class StateFilter(admin.SimpleListFilter):
    """Where an alert stands. Without a choice: all that still are so."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("waiting", gettext_lazy("waiting for an answer")),
            ("climbed", gettext_lazy("unanswered, level raised")),
            ("acknowledged", gettext_lazy("acknowledged")),
            ("resolved", gettext_lazy("ended")),
            ("all", gettext_lazy("open and ended")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        narrowed = {
            None: Q(resolved_at=None),
            "waiting": Q(resolved_at=None, acknowledged_at=None),
            "climbed": Q(resolved_at=None, acknowledged_at=None, level__gt=1),
            "acknowledged": Q(resolved_at=None, acknowledged_at__isnull=False),
            "resolved": Q(resolved_at__isnull=False),
            "all": Q(),
        }
        if self.value() not in narrowed:
            raise IncorrectLookupParameters
        return queryset.filter(narrowed[self.value()])

    def choices(self, changelist: ChangeList) -> Any:
        choices = list(super().choices(changelist))
        choices[0]["display"] = _("open")
        return choices


class _NumberFilter(admin.SimpleListFilter):
    """A number that alerts have. What is offered comes from the policies: alerts may be millions."""

    # Alerts keep the numbers of policies that were changed since.
    def is_value(self, request: HttpRequest, value: str) -> bool:
        return filters.is_key(value) and int(value) <= _LARGEST

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        if value is None:
            return None
        if not self.is_value(request, value):
            raise IncorrectLookupParameters
        return queryset.filter(**{self.parameter_name or "": int(value)})


class ThresholdFilter(_NumberFilter):
    title = gettext_lazy("threshold, days")
    parameter_name = "threshold"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        of_policies = AlertPolicy.objects.of_fleets(fleets_of(request.user)).values_list("thresholds", flat=True)
        named = [*of_policies, AUTHORITY_THRESHOLDS, CERTIFICATE_THRESHOLDS]
        return [(str(days), cells.count(days)) for days in sorted({days for each in named for days in each})]


class LevelFilter(_NumberFilter):
    title = gettext_lazy("level")
    parameter_name = "level"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        policies = AlertPolicy.objects.of_fleets(fleets_of(request.user))
        numbers = (
            AlertLevel.objects.filter(policy__in=policies)
            .order_by("number")
            .values_list("number", flat=True)
            .distinct()
        )
        return [(str(number), number) for number in numbers]


class AlertFleetFilter(filters.FleetFilter):
    path = "certificate__device__"


class AcknowledgeForm(forms.Form):
    note = forms.CharField(
        label=gettext_lazy("Note"),
        max_length=500,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("What is being done about it; kept with the alerts and in the audit log."),
    )
    # What fires after the page was shown is not answered by it.
    as_of = forms.CharField(widget=forms.HiddenInput)

    def clean_as_of(self) -> datetime:
        moment = parse_datetime(self.cleaned_data["as_of"])
        if moment is None or moment.tzinfo is None:
            raise forms.ValidationError(_("Open the page again."))
        return moment


class MuteForm(forms.Form):
    until = forms.DateField(
        label=gettext_lazy("Until"),
        widget=DayInput,
        help_text=gettext_lazy("The beginning of this day, UTC. From then on it is told again."),
    )
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500, widget=forms.Textarea(attrs={"rows": 2}))

    def clean_until(self) -> datetime:
        until = start_of(self.cleaned_data["until"])
        if until <= timezone.now():
            raise forms.ValidationError(_("A mute ends in the future; choose a later day."))
        return until


def _sightings(alert: Alert) -> str | None:
    """Return the list of what an alert of unexpected sightings is about."""
    if alert.kind != AlertKind.UNEXPECTED_SIGHTING:
        return None
    oddity, source = unexpected_sightings.parts(alert.about)
    return links.changelist("inventory_unexpectedsighting", oddity__exact=oddity.value, source=source)


class AlertAdmin(ListAdmin, ReadOnlyAdmin):
    empty_state = gettext_lazy(
        "Nothing is near its end. What reaches a threshold of a policy stands here, the portal's own first."
    )
    change_list_template = "admin/inventory/alerts.html"
    change_form_template = "admin/inventory/alert.html"
    listing = ALERTS
    # The portal's own first, then what ends soonest: the order of an index, and the only one.
    list_order = "urgency,ends_at"
    sortable_by = ()
    list_display = ["subject", "kind", "days", "ends", "at_level", "state_word", "told", "page_link"]
    list_display_links = None
    list_filter = [StateFilter, "urgency", ThresholdFilter, LevelFilter, AlertFleetFilter, "policy"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        now = timezone.now()
        muted = Mute.objects.active(now).filter(
            Q(certificate=OuterRef("certificate"))
            | Q(fleet=OuterRef("certificate__device__fleet"))
            | ~Q(about="") & Q(about=OuterRef("about"))
        )
        alerts = super().get_queryset(request).select_related("certificate__device", "policy")
        listed: QuerySet[Any] = alerts.defer("certificate__der").annotate(muted=Exists(muted))
        return listed

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return lookup in {"certificate", "id"} or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may = request.user.has_perm(_ANSWER)
        page: HttpResponse = super().changelist_view(request, {**(extra_context or {}), "may_answer": may})
        return page

    # --- The list ---------------------------------------------------------------------------------------------------

    @admin.display(description=gettext_lazy("subject"))
    def subject(self, alert: Alert) -> SafeString:
        if alert.certificate is None or alert.certificate.device is None:
            return cells.name(alert.about)
        return cells.link(links.device(alert.certificate.device.pk), alert.certificate.device.serial)

    @admin.display(description=gettext_lazy("threshold, d"))
    def days(self, alert: Alert) -> str:
        return cells.count(alert.threshold)

    @admin.display(description=gettext_lazy("ends"))
    def ends(self, alert: Alert) -> SafeString:
        return cells.when(alert.ends_at, timezone.now())

    @admin.display(description=gettext_lazy("level"))
    def at_level(self, alert: Alert) -> SafeString:
        return cells.state("late" if alert.level > 1 else "neutral", alert.level)

    @admin.display(description=gettext_lazy("state"))
    def state_word(self, alert: Alert) -> SafeString:
        if alert.resolved_at is not None:
            return cells.state("good" if alert.resolution == "renewed" else "neutral", alert.get_resolution_display())
        if alert.acknowledged_at is not None:
            return cells.state("neutral", _("acknowledged by %(who)s") % {"who": cells.visible(alert.acknowledged_by)})
        if alert.muted:  # type: ignore[attr-defined]  # annotated in get_queryset
            return cells.state("neutral", _("muted"))
        ended = alert.ends_at < timezone.now()
        return cells.state("late" if ended else "attention", _("ended, unanswered") if ended else _("waiting"))

    @admin.display(description=gettext_lazy("last told"))
    def told(self, alert: Alert) -> SafeString:
        return cells.when(alert.notified_at, timezone.now(), to_the_minute=True)

    @admin.display(description=gettext_lazy("alert"))
    def page_link(self, alert: Alert) -> SafeString:
        return cells.link(links.page("inventory_alert", alert.pk), _("open"))

    # --- The page ---------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        own = [
            path("acknowledge/", guard(self.acknowledge), name="inventory_alert_acknowledge"),
            path("<int:pk>/mute/", guard(self.mute), name="inventory_alert_mute"),
            path("<int:pk>/unmute/", guard(require_POST(self.unmute)), name="inventory_alert_unmute"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        alert = self.get_object(request, object_id)
        page = self.page(alert, timezone.now()) if alert and self.has_view_permission(request, alert) else {}
        page["may_answer"], page["may_mute"] = request.user.has_perm(_ANSWER), request.user.has_perm(_MUTE)
        page["may_unmute"] = request.user.has_perm(_UNMUTE)
        return super().change_view(request, object_id, form_url, {**page, **(extra_context or {})})

    def page(self, alert: Alert, now: datetime) -> dict[str, Any]:
        """Return what the page shows."""
        own = alert.kind != AlertKind.DEVICE_EXPIRY
        authority = getattr(alert.certificate, "subject_authority", None) if own and alert.certificate else None
        mutes = Mute.objects.active(now).select_related("fleet")
        return {
            "now": now,
            "alert": alert,
            "text": own_text(AlertKind(alert.kind), alert.about, alert.ends_at, now) if own else "",
            "sightings_url": _sightings(alert),
            "state": self.state_word(alert),
            "retirement": earliest_retirement(authority, now) if authority else None,
            "waiting": alert.resolved_at is None and alert.acknowledged_at is None,
            "own_mutes": mutes.about_subject_of(alert),
            "fleet_mutes": mutes.of_fleet_of(alert),
        }

    # --- Answering --------------------------------------------------------------------------------------------------

    def acknowledge(self, request: HttpRequest) -> HttpResponse:
        """Show what the address' filters choose and what acknowledging does; do it on POST."""
        if not request.user.has_perm(_ANSWER):
            raise PermissionDenied(_ANSWER)
        now = timezone.now()
        form = AcknowledgeForm(request.POST or None, initial={"as_of": now.isoformat()})
        chosen, worst_first = self._chosen(request), self.get_ordering(request)
        if request.method == "POST" and form.is_valid():
            count = acknowledgement.acknowledge(
                chosen.filter(raised_at__lte=form.cleaned_data["as_of"], level_since__lte=form.cleaned_data["as_of"]),
                note=form.cleaned_data["note"],
                now=now,
                actor=actor_of(request),
                question=request.GET.dict(),
            )
            text = ngettext("%(count)s alert acknowledged.", "%(count)s alerts acknowledged.", count)
            messages.success(request, text % {"count": cells.count(count)})
            return HttpResponseRedirect(links.changelist("inventory_alert"))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Acknowledge alerts"),
            "opts": self.opts,
            "now": now,
            "form": form,
            "count": chosen.count(),
            "sample": [(self.subject(alert), alert) for alert in chosen.order_by(*worst_first, "id")[:_SAMPLE]],
        }
        return TemplateResponse(request, "admin/inventory/acknowledge.html", context)

    def _chosen(self, request: HttpRequest) -> AlertQuerySet:
        """Return the waiting alerts of the list that the same filters show."""
        listed: Any = self.all_rows(request)
        alerts: AlertQuerySet = listed
        return alerts.waiting()

    def _seen(self, request: HttpRequest, pk: int) -> Alert:
        """Return an alert that the person sees. Raises Http404 otherwise."""
        seen = Alert.objects.of_fleets(fleets_of(request.user)).select_related("certificate__device")
        return get_object_or_404(seen, pk=pk)

    def mute(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what a mute does; make it on POST."""
        if not request.user.has_perm(_MUTE):
            raise PermissionDenied(_MUTE)
        alert = self._seen(request, pk)
        form = MuteForm(request.POST or None)
        now = timezone.now()
        if request.method == "POST" and form.is_valid():
            until, reason = form.cleaned_data["until"], form.cleaned_data["reason"]
            acknowledgement.mute(alert, until=until, reason=reason, now=now, actor=actor_of(request))
            messages.success(request, _("Muted until %(day)s.") % {"day": until.date().isoformat()})
            return HttpResponseRedirect(links.page("inventory_alert", pk))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Mute"),
            "opts": self.opts,
            "now": now,
            "alert": alert,
            "subject": self.subject(alert),
            "form": form,
        }
        return TemplateResponse(request, "admin/inventory/mute.html", context)

    def unmute(self, request: HttpRequest, pk: int) -> HttpResponse:
        """End the mutes of what the alert is about."""
        if not request.user.has_perm(_UNMUTE):
            raise PermissionDenied(_UNMUTE)
        alert = self._seen(request, pk)
        if acknowledgement.unmute(alert, now=timezone.now(), actor=actor_of(request)):
            messages.success(request, _("Unmuted: the next sweep tells of it again."))
        else:
            messages.info(request, _("It was not muted."))
        return HttpResponseRedirect(links.page("inventory_alert", pk))
