"""The jitter planner: what a production run does to the expiry map, before and after, and the profile written from it.

For a cliff that exists already it advises over how many days to spread the renewals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from certportal.dashboard.geometry import days
from inventory.admin import links
from inventory.admin.audited import actor_of, record_change
from inventory.admin.form_fields import DayInput
from inventory.counters import reading
from inventory.expiry import cliffs
from inventory.expiry.jitter.comparison import compare
from inventory.expiry.jitter.expectation import Rules, Run, largest, together
from inventory.expiry.jitter.restaggering import Advice, advise
from inventory.models import Fleet, FleetIds, Profile, fleets_of

_WIDTH, _HEIGHT = 1376, 160
_DAY = timedelta(days=1)
# The charts show this many days around what the run ends.
_MARGIN = 7
# Beside a cliff so many days are shown, for its size to be seen.
_AROUND = 45 * _DAY
EXISTING, PLANNED = "existing", "planned"


class RunForm(forms.Form):
    """A production run and the lifetimes to try. Read from the address, so that a plan can be sent to somebody."""

    fleet = forms.ModelChoiceField(Fleet.objects.all(), label=gettext_lazy("Fleet"))
    units_a_day = forms.IntegerField(label=gettext_lazy("Units a day"), min_value=1, max_value=10_000_000)
    days = forms.IntegerField(label=gettext_lazy("Days of production"), min_value=1, max_value=400)
    first_day = forms.DateField(label=gettext_lazy("First day"), widget=DayInput)
    validity_days = forms.IntegerField(label=gettext_lazy("Validity, d"), min_value=1, max_value=20 * 366)
    jitter_days = forms.IntegerField(label=gettext_lazy("Jitter up to, d"), min_value=0, max_value=366)

    def __init__(self, *args: Any, fleets: FleetIds, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["fleet"].queryset = Fleet.objects.of_fleets(fleets)  # type: ignore[attr-defined]  # of models

    @property
    def run(self) -> Run:
        values = self.cleaned_data
        return Run(values["units_a_day"], values["days"], values["first_day"])

    @property
    def rules(self) -> Rules:
        values = self.cleaned_data
        return Rules(values["validity_days"] * _DAY, values["jitter_days"] * _DAY)


@dataclass(frozen=True)
class Simulation:
    """What the run does to the fleet as the profile stands now, and as it would."""

    before: Mapping[date, float]
    after: Mapping[date, float]
    existing: Mapping[date, float]
    largest_before: tuple[date, float]
    largest_after: tuple[date, float]
    factor: float
    charts: tuple[days.Days, days.Days]
    clamped: bool


def simulate(fleet: Fleet, run: Run, now_rules: Rules, new_rules: Rules) -> Simulation:
    """Compute both histograms of a run of `fleet`. One query of counters."""
    found = compare(run, now_rules, new_rules, issuer_last_day=fleet.authority.x509.not_valid_after_utc.date())
    before, after = found.before, found.after
    first, last = found.first_day - _MARGIN * _DAY, found.last_day + _MARGIN * _DAY
    existing = cliffs.standing_by_day(fleet, first, last)
    tallest = max(largest(together(before, existing))[1], largest(together(after, existing))[1])
    both = [{EXISTING: existing, PLANNED: histogram} for histogram in (before, after)]
    plain, jittered = (
        days.layout(parts, first=first, last=last, tallest=tallest, width=_WIDTH, height=_HEIGHT) for parts in both
    )
    return Simulation(
        before,
        after,
        existing,
        found.largest_before,
        found.largest_after,
        found.factor,
        (plain, jittered),
        found.clamped,
    )


def restagger(profile: Profile, fleet: Fleet, day: date, rules: Rules, now: datetime) -> Advice | None:
    """Advise how to take the cliff of `fleet` on `day` apart, None when nothing is left to do. Three queries."""
    counted = reading.by_day(day, day + _DAY, fleets=[fleet.pk]).get(day)
    if counted is None or not counted.standing:
        return None
    today = now.astimezone(UTC).date()
    # The first to end that day do so at midnight: they must have renewed the day before.
    opens, last = max(day - profile.renewal_window, today + _DAY), day - _DAY
    size = reading.devices(fleets=[fleet.pk])[fleet.pk].number
    existing = cliffs.standing_by_day(fleet, opens + rules.validity, last + rules.validity + rules.jitter_max + _DAY)
    try:
        return advise(
            counted.standing,
            rules=rules,
            first_day=opens,
            last_day=last,
            most=cliffs.least_of_cliff(size),
            existing=existing,
        )
    except ValueError:
        return None


def dissection(fleet: Fleet, cliff: date, advice: Advice, rules: Rules) -> tuple[days.Days, days.Days]:
    """Draw the days around a cliff as they are, and those on which its successors end, on one scale. Two queries."""
    first, last = min(advice.histogram), max(advice.histogram)
    around = [(cliff - _AROUND, cliff + _AROUND), (first - _MARGIN * _DAY, last + _MARGIN * _DAY)]
    now, then = (cliffs.standing_by_day(fleet, *span) for span in around)
    of_cliff = {cliff: now.get(cliff, 0.0)}
    charts: list[dict[str, Mapping[date, float]]] = [
        {EXISTING: {day: count for day, count in now.items() if day != cliff}, PLANNED: of_cliff},
        {EXISTING: then, PLANNED: advice.histogram},
    ]
    tallest = max(largest(together(chart[PLANNED], chart[EXISTING]))[1] for chart in charts)
    before, after = (
        days.layout(parts, first=span[0], last=span[1], tallest=tallest, width=_WIDTH, height=_HEIGHT)
        for parts, span in zip(charts, around, strict=True)
    )
    return before, after


def planner(request: HttpRequest, pk: int, site: AdminSite, now: datetime) -> HttpResponse:
    """Show form, histograms and advice; on `write` put validity and jitter into the profile, audited."""
    if not request.user.has_perm("inventory.view_profile"):
        raise PermissionDenied("inventory.view_profile")
    fleets = fleets_of(request.user)
    profile = get_object_or_404(Profile.objects.of_fleets(fleets), pk=pk)
    given = request.POST if request.method == "POST" else request.GET
    initial = _initial(profile, fleets, now)
    form = RunForm({**initial, **{key: given[key] for key in RunForm.base_fields if given.get(key)}}, fleets=fleets)
    context: dict[str, Any] = {
        **site.each_context(request),
        "title": _("Jitter planner"),
        "subtitle": profile.name,
        "profile": profile,
        "form": form,
        "now": now,
        "may_write": fleets is None and request.user.has_perm("inventory.change_profile"),
    }
    if form.is_valid():
        rules = form.rules
        if request.method == "POST":
            refusal = _write(request, profile, rules, now)
            if refusal is None:
                return HttpResponseRedirect(links.page("inventory_profile", profile.pk))
            form.add_error(None, refusal)
        context |= _results(profile, form, _day(given.get("cliff", "")), now)
    return TemplateResponse(request, "admin/inventory/jitter.html", context)


def _initial(profile: Profile, fleets: FleetIds, now: datetime) -> dict[str, Any]:
    seen = Fleet.objects.of_fleets(fleets).order_by("pk")
    fleet = seen.filter(profile=profile).first() or seen.first()
    if fleet is None:
        raise Http404("Without a fleet nothing is produced.")
    return {
        "fleet": fleet.pk,
        "units_a_day": 1000,
        "days": 14,
        "first_day": (now.astimezone(UTC).date() + _DAY).isoformat(),
        "validity_days": profile.validity.days or 1,
        "jitter_days": max(profile.jitter_max.days, 30),
    }


def _results(profile: Profile, form: RunForm, cliff: date | None, now: datetime) -> dict[str, Any]:
    fleet, rules = form.cleaned_data["fleet"], form.rules
    before = Rules(profile.validity, profile.jitter_max)
    found: dict[str, Any] = {"fleet": fleet, "rules": rules, "unchanged": rules == before}
    if cliff is None:
        return {**found, "simulation": simulate(fleet, form.run, before, rules)}
    advice = restagger(profile, fleet, cliff, rules, now)
    found |= {"cliff": cliff, "advice": advice, "campaign_url": _campaign_url(fleet, cliff, advice)}
    if advice is not None:
        found["dissection"] = dissection(fleet, cliff, advice, rules)
    return found


def _campaign_url(fleet: Fleet, cliff: date, advice: Advice | None) -> str:
    """Return the planning page for a cliff, due when its last renewal is."""
    question = {
        "name": _("Cliff of %s") % cliff,
        "fleet": fleet.pk,
        "expires_from": cliff.isoformat(),
        "expires_before": (cliff + _DAY).isoformat(),
        "due": advice.last_day.isoformat() if advice else None,
    }
    return links.with_query(reverse("admin:renewal_campaign_plan"), question)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _write(request: HttpRequest, profile: Profile, rules: Rules, now: datetime) -> str | None:
    """Put the lifetimes into the profile; return why not."""
    # Other fleets live by it too.
    if not request.user.has_perm("inventory.change_profile") or fleets_of(request.user) is not None:
        raise PermissionDenied("inventory.change_profile")
    if rules.validity < profile.renewal_window:
        text = _("The renewal window of this profile is %(window)s d; certificates must live at least as long.")
        return text % {"window": profile.renewal_window.days}
    changes = {
        name: [str(getattr(profile, name)), str(value)]
        for name, value in {"validity": rules.validity, "jitter_max": rules.jitter_max}.items()
        if getattr(profile, name) != value
    }
    profile.validity, profile.jitter_max = rules.validity, rules.jitter_max
    with transaction.atomic():
        profile.save(update_fields=["validity", "jitter_max"])
        if changes:
            record_change(profile, changes, actor=actor_of(request), now=now)
    messages.success(request, _("The profile is written. It counts from the next certificate on."))
    return None
