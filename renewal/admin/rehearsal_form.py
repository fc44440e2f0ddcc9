"""The form that asks for a rehearsal: a lead and a ladder, and below them every number of the scenario."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.forms.boundfield import BoundField
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from renewal.campaigns import ladder_text
from renewal.campaigns.ladder import Ladder, LadderError
from renewal.models import Campaign, Rehearsal
from renewal.simulation import rehearsing
from renewal.simulation.fleet import scenario
from renewal.simulation.fleet.scenario import Bounds, Scenario, ScenarioError
from renewal.simulation.fleet.scratch import Order

LEAD = "lead_days"
METERS = 2_000
SEED = 1
# By the tables of the scenario file.
TABLES = {
    "campaign": gettext_lazy("Campaign"),
    "meters": gettext_lazy("Meters"),
    "faults": gettext_lazy("Faults"),
    "sms": gettext_lazy("SMS"),
    "visits": gettext_lazy("Visits"),
}
LABELS = {
    "validity_days": gettext_lazy("Certificates are valid for, days"),
    LEAD: gettext_lazy("Lead, days"),
    "field_lead_days": gettext_lazy("Work orders open before the end, days"),
    "visit_span_days": gettext_lazy("Visits that can wait begin before the end, days"),
    "expiry_spread_days": gettext_lazy("All certificates end within, days"),
    "messages_a_minute": gettext_lazy("Messages a minute"),
    "tick_hours": gettext_lazy("Step of the simulation, hours"),
    "deep_sleepers": gettext_lazy("Meters that sleep deeply, share"),
    "deep_sleep_hours": gettext_lazy("They wake every, hours"),
    "daily_window_hours": gettext_lazy("All others wake every, hours"),
    "restart_days": gettext_lazy("The hour of waking changes every, days"),
    "wake_fails": gettext_lazy("Wakes too short to renew, share"),
    "wakes_reported": gettext_lazy("Wakes are told: 1, or 0 for a fleet without"),
    "used_at_next_wake": gettext_lazy("New certificates used only at the next wake, share"),
    "meters_a_site": gettext_lazy("Meters a site"),
    "meters_a_batch": gettext_lazy("Meters a batch"),
    "unreachable_in_window": gettext_lazy("Out of reach for all of a window, share"),
    "window_days": gettext_lazy("Length of that window, days"),
    "no_coverage": gettext_lazy("Without coverage, share"),
    "hardware_failures_a_year": gettext_lazy("Hardware that fails in a year, share"),
    "transitory": gettext_lazy("Out of reach at a moment, back by themselves, share"),
    "transitory_mean_days": gettext_lazy("They are away for, days"),
    "site_outages_a_year": gettext_lazy("Outages of a site in a year"),
    "site_outage_mean_hours": gettext_lazy("An outage takes, hours"),
    "session_repaired_a_week": gettext_lazy("Lost data sessions repaired in a week, share"),
    "hardware_repaired_a_week": gettext_lazy("Broken hardware repaired in a week, share"),
    "coverage_repaired_a_week": gettext_lazy("Dead zones that get coverage in a week, share"),
    "sms_in_use": gettext_lazy("SMS in use: 1, or 0 for a fleet without"),
    "sms_lost": gettext_lazy("SMS that are lost, share"),
    "sms_validity_hours": gettext_lazy("The operator keeps an SMS for, hours"),
    "sms_restarts_session": gettext_lazy("Lost data sessions that an SMS restarts, share"),
    "outdated_numbers": gettext_lazy("Phone numbers that are outdated, share"),
    "visit_after_least_days": gettext_lazy("A visit takes place after at least, days"),
    "visit_after_most_days": gettext_lazy("and after at most, days"),
    "push_repairs": gettext_lazy("Broken hardware that a push on the spot brings back, share"),
}


@dataclass(frozen=True)
class Group:
    """The numbers of one table; open when one of them is refused."""

    title: str
    fields: list[BoundField]
    refused: bool


class RehearsalForm(forms.Form):
    devices = forms.IntegerField(
        label=gettext_lazy("Meters to simulate"),
        min_value=rehearsing.FEWEST_METERS,
        max_value=rehearsing.MOST_METERS,
    )
    ladder = forms.CharField(
        label=gettext_lazy("Ladder"),
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text=gettext_lazy(
            "As in the plan of a campaign. The simulated meters wake daily or intermittently; a line for those always "
            "on changes nothing here."
        ),
    )
    seed = forms.IntegerField(
        label=gettext_lazy("Seed"),
        min_value=0,
        max_value=2**31 - 1,
        help_text=gettext_lazy("With the same one every meter has the same luck, so two runs differ by your changes."),
    )

    def __init__(self, *args: Any, how_long: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["devices"].help_text = how_long
        sources = scenario.default().sources
        for name, bounds in scenario.bounds().items():
            self.fields[name] = _number(name, bounds, sources[name])
        self.fields[LEAD].help_text = _("From the start of the campaign to the end of the certificates.")

    def clean_ladder(self) -> Ladder:
        try:
            return ladder_text.read(self.cleaned_data["ladder"])
        except LadderError as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if not self.errors:
            numbers = {name: values[name] for name in scenario.bounds()}
            try:
                values["scenario"] = scenario.changed(rehearsing.packaged(), numbers, values["ladder"])
            except ScenarioError as error:
                self.add_error(None, str(error))
        return values

    def order(self) -> Order:
        """Return what was asked for."""
        return Order(self.cleaned_data["devices"], self.cleaned_data["seed"], self.cleaned_data["scenario"])

    def groups(self) -> Iterator[Group]:
        """Yield the numbers that most people leave as they are, by table."""
        for table, title in TABLES.items():
            names = [name for name, bounds in scenario.bounds().items() if bounds.table == table and name != LEAD]
            yield Group(str(title), [self[name] for name in names], any(name in self.errors for name in names))

    @property
    def opened(self) -> bool:
        """Tell whether what is folded away has to be seen."""
        return "seed" in self.errors or any(group.refused for group in self.groups())


def _number(name: str, bounds: Bounds, source: str) -> forms.FloatField:
    between = _("Write a number from %(least)s to %(most)s.") % {"least": f"{bounds.least:g}", "most": _written(bounds)}
    return forms.FloatField(
        label=LABELS[name],
        min_value=bounds.least,
        max_value=bounds.most,
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text=f"{name}: {source}",
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), between),
    )


def _written(bounds: Bounds) -> str:
    return f"{bounds.most:.0f}" if bounds.most >= 1 else f"{bounds.most:g}"


def of_plan(plan: Mapping[str, str], today: date) -> dict[str, str]:
    """Return what the form of a plan says already: its ladder, and how long before the first end it would begin."""
    given = {"ladder": plan["ladder"]} if plan.get("ladder") else {}
    if plan.get("joins_within"):
        return {**given, LEAD: plan["joins_within"]}
    try:
        lead = (date.fromisoformat(plan.get("expires_from", "")) - today).days
    except ValueError:
        return given
    return {**given, LEAD: str(lead)} if lead > 0 else given


def initial(like: Campaign | Rehearsal | None) -> dict[str, Any]:
    """Return the values of a form: those of an earlier run, or this portal's settings with the ladder of a campaign."""
    if isinstance(like, Rehearsal):
        return {"devices": like.devices, "seed": like.seed, **_values(rehearsing.scenario_of(like))}
    own = {"field_lead_days": settings.FIELD_LEAD, "visit_span_days": settings.VISIT_SPAN}
    numbers = {name: f"{span / timedelta(days=1):g}" for name, span in own.items()}
    ladder = {} if like is None else {"ladder": ladder_text.written(Ladder.from_json(like.ladder))}
    return {"devices": METERS, "seed": SEED, **_values(rehearsing.packaged()), **numbers, **ladder}


def _values(of: Scenario) -> Mapping[str, str]:
    numbers = {name: f"{value:.10g}" for name, value in of.numbers().items()}
    return {**numbers, "ladder": ladder_text.written(of.ladder)}
