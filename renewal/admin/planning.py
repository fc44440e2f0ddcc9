"""The page on which a campaign is planned: choose, see what it would hold, then make it."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db.models import Min, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from inventory.admin import cells, links
from inventory.admin.audited import actor_of
from inventory.admin.filters import is_key
from inventory.admin.form_fields import DayInput
from inventory.admin.listing import COUNT, CURSOR
from inventory.expiry.cliffs import start_of
from inventory.models import Batch, Fleet, FleetIds, Site, fleets_of
from renewal.admin.adjusting import SettingsForm, initial_of
from renewal.admin.chosen import LISTS, ChosenList, NotChosen, of_list, of_serials
from renewal.campaigns import choosing, ladder_text, planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.freezing import Waves
from renewal.campaigns.ladder import DEFAULT, Ladder, LadderError
from renewal.campaigns.planning import CampaignError, Plan
from renewal.campaigns.settings import Settings
from renewal.campaigns.settings import of as settings_of
from renewal.models import Campaign

_SAMPLE = 8
_DUE_BEFORE_END = timedelta(days=4)


# What most plans leave as it is, by the parts of the page in which it is folded.
_FOLDED = {
    "choice": ("devices", "joins_within"),
    "ladder": ("ladder",),
    "waves": ("canary", "wave_size", "failures_to_open", "failures_to_pause"),
    "pace": ("triggers_per_minute", "triggers_per_minute_and_site", "sms_budget", "window_from", "window_to"),
}


class PlanForm(SettingsForm):
    """What a campaign is for. Its fields are read from the address too, so that a cliff links to its plan."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=100)
    fleet = forms.ModelChoiceField(Fleet.objects.all(), label=gettext_lazy("Fleet"))
    site = forms.ModelChoiceField(Site.objects.select_related("fleet"), label=gettext_lazy("Site"), required=False)
    batch = forms.ModelChoiceField(Batch.objects.select_related("fleet"), label=gettext_lazy("Batch"), required=False)
    listed = forms.ChoiceField(choices=[("", ""), *LISTS.items()], widget=forms.HiddenInput, required=False)
    query = forms.CharField(widget=forms.HiddenInput, required=False, max_length=2000)
    devices = forms.CharField(
        label=gettext_lazy("Only these devices"),
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60}),
        required=False,
        help_text=gettext_lazy("Serial numbers, apart by blanks or lines. Empty: all of the span."),
    )
    expires_from = forms.DateField(label=gettext_lazy("Certificates that end from"), widget=DayInput)
    expires_before = forms.DateField(
        label=gettext_lazy("to before"), widget=DayInput, help_text=gettext_lazy("Days of UTC.")
    )
    due = forms.DateField(
        label=gettext_lazy("Due"),
        widget=DayInput,
        required=False,
        help_text=gettext_lazy("When every target should be confirmed; empty: four days before the first one ends."),
    )
    joins_within = forms.IntegerField(
        label=gettext_lazy("Evergreen: devices join before the end by"),
        min_value=1,
        max_value=3650,
        required=False,
        help_text=gettext_lazy("Days. It goes on for ever then, and the span and the due date do not count."),
    )
    ladder = forms.CharField(
        label=gettext_lazy("Ladder"),
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text=gettext_lazy(
            "A line for each connectivity class: channel, messages × wait for an answer to each. “valid 18 h” after "
            "the wait says how long the operator keeps a message. Then a person goes."
        ),
    )
    canary = forms.IntegerField(
        label=gettext_lazy("Devices ahead of all"),
        min_value=0,
        max_value=10_000_000,
        required=False,
        help_text=gettext_lazy("The first wave, of all sites and kinds of device. Empty: none."),
    )
    wave_size = forms.IntegerField(
        label=gettext_lazy("Devices a wave"),
        min_value=1,
        max_value=10_000_000,
        required=False,
        help_text=gettext_lazy("By expiry, whole sites together. Empty: all others at once."),
    )

    def __init__(self, *args: Any, request: HttpRequest, site: AdminSite, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request, self._site = request, site
        fleets = fleets_of(request.user)
        for name in ("fleet", "site", "batch"):
            field: Any = self.fields[name]
            field.queryset = field.queryset.of_fleets(fleets)

    def clean_ladder(self) -> Ladder:
        try:
            return ladder_text.read(self.cleaned_data["ladder"])
        except LadderError as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        start, end, fleet = values.get("expires_from"), values.get("expires_before"), values.get("fleet")
        if start and end and end <= start:
            self.add_error("expires_before", _("The span ends before it begins; choose a day after %s.") % start)
        for name in ("site", "batch"):
            group = values.get(name)
            if group and fleet and group.fleet_id != fleet.pk:
                text = _("“%(group)s” belongs to fleet “%(fleet)s”.")
                self.add_error(name, text % {"group": group, "fleet": group.fleet})
        if fleet:
            values["among"], values["chosen_from"] = self._narrowed(values, fleet)
        return values

    def _narrowed(self, values: Mapping[str, Any], fleet: Fleet) -> tuple[Q, str]:
        """Return what the campaign is narrowed to beside its span, and the record of it."""
        among, told = Q(), []
        try:
            if values.get("listed"):
                chosen = ChosenList(values["listed"], values.get("query", ""))
                among &= of_list(self._request, self._site, chosen)
                told.append(str(chosen))
            if values.get("devices"):
                named, number = of_serials(values["devices"], fleet)
                among &= named
                told.append(f"{number} serial numbers")
        except NotChosen as refusal:
            self.add_error(None, str(refusal))
        # The list comes last: alone, `ChosenList.read` reads it.
        return among, ", ".join(reversed(told))

    def unfolded(self) -> set[str]:
        """Return the parts of the page in which something is not as usual, or refused."""
        usual = {name: field.initial for name, field in self.fields.items()} | _usual()
        return {part for part, names in _FOLDED.items() if any(self._is_unusual(name, usual) for name in names)}

    def _is_unusual(self, name: str, usual: Mapping[str, Any]) -> bool:
        shown, expected = (self.fields[name].prepare_value(value) for value in (self[name].value(), usual[name]))
        return name in self.errors or _on_one_line(shown) != _on_one_line(expected)

    @property
    def chosen_list(self) -> ChosenList | None:
        """The list that the page says it is for."""
        listed = self["listed"].value()
        return ChosenList(listed, self["query"].value() or "") if listed in LISTS else None

    def plan(self, now: datetime) -> Plan:
        """Return what was chosen. One query unless a due date was."""
        values = self.cleaned_data
        start, end = start_of(values["expires_from"]), start_of(values["expires_before"])
        within = timedelta(days=values["joins_within"]) if values["joins_within"] else None
        if within:
            start, end = now, now + within
        selection = Selection(
            values["fleet"],
            start,
            end,
            values["site"],
            values["batch"],
            among=values["among"],
            chosen_from=values["chosen_from"],
        )
        return Plan(
            name=values["name"],
            selection=selection,
            due_at=None if within else self._due(selection, now),
            ladder=values["ladder"],
            waves=Waves(values["canary"] or 0, values["wave_size"]),
            settings=self.settings(),
            joins_within=within,
        )

    def _due(self, selection: Selection, now: datetime) -> datetime:
        """Return when every target should be confirmed: as was said, or soon enough before the first one ends.

        One query where nothing was said.
        """
        if self.cleaned_data["due"]:
            return start_of(self.cleaned_data["due"])
        first = choosing.selected(selection).aggregate(end=Min("not_after"))["end"] or selection.expires_from
        return max(first - _DUE_BEFORE_END, now + timedelta(days=1))


def _on_one_line(value: object) -> str:
    """Return a value as a form shows it; a browser sends other ends of lines."""
    return "" if value is None else " ".join(str(value).split())


def _usual() -> dict[str, Any]:
    return {"ladder": ladder_text.written(DEFAULT), **initial_of(Settings())}


def _initial(request: HttpRequest, today: date) -> dict[str, Any]:
    initial: dict[str, Any] = {
        "expires_from": today,
        "expires_before": today + timedelta(days=90),
        **_usual(),
    }
    fleets = list(Fleet.objects.of_fleets(fleets_of(request.user)).values_list("id", flat=True)[:2])
    if len(fleets) == 1:
        initial["fleet"] = fleets[0]
    like = request.GET.get("like", "")
    if is_key(like):
        initial |= _like(Campaign.objects.visible_to(request.user).filter(pk=int(like)).first())
    return {**initial, **{key: value for key, value in request.GET.items() if key in PlanForm.base_fields and value}}


def _like(campaign: Campaign | None) -> dict[str, Any]:
    """Return the values of a plan that repeats a campaign: what it was for, by which ladder, in which waves."""
    if campaign is None:
        return {}
    chosen = ChosenList.read(campaign.chosen_from)
    return {
        "name": campaign.name,
        "fleet": campaign.fleet_id,
        "site": campaign.site_id,
        "batch": campaign.batch_id,
        "joins_within": campaign.joins_within.days if campaign.joins_within else None,
        "expires_from": campaign.expires_from.date(),
        "expires_before": campaign.expires_before.date(),
        "ladder": ladder_text.written(Ladder.from_json(campaign.ladder)),
        "canary": campaign.canary or None,
        "wave_size": campaign.wave_size,
        **initial_of(settings_of(campaign)),
        **({"listed": chosen.listed, "query": chosen.query} if chosen else {}),
    }


def url_for_chosen(listed: str, query: QueryDict, seen: FleetIds) -> str:
    """Return the planning page for a list of devices or certificates, however it is filtered."""
    kept = query.copy()
    for name in (CURSOR, COUNT, "p", "e"):
        kept.pop(name, None)
    asked = query.dict()
    groups = {name: str(asked[name]) for name in ("fleet", "site", "batch") if is_key(str(asked.get(name, "")))}
    question: dict[str, object] = {
        "listed": listed,
        "query": kept.urlencode(),
        "fleet": groups.get("fleet") or _fleet_of(groups, seen),
        "expires_from": _midnight(str(asked.get("not_after__gte", ""))),
        "expires_before": _midnight(str(asked.get("not_after__lt", ""))),
    }
    return links.with_query(
        reverse("admin:renewal_campaign_plan"), {name: value for name, value in question.items() if value}
    )


def url_for_list(query: Mapping[str, str], seen: FleetIds) -> str | None:
    """Return the planning page filled in for a list of certificates, None when no campaign could be for that list.

    A campaign is for one fleet, and one site or batch of it or none, and for whole days of expiry.
    """
    start, end = (_midnight(query.get(bound, "")) for bound in ("not_after__gte", "not_after__lt"))
    groups = {name: query[name] for name in ("fleet", "site", "batch") if is_key(query.get(name, ""))}
    fleet = groups.get("fleet") or _fleet_of(groups, seen)
    wanted = query.get("state", "standing") == "standing" and query.get("coverage", "unplanned") == "unplanned"
    if start is None or end is None or fleet is None or not wanted or set(query) - _PLANNABLE:
        return None
    name = _("Expiry of %s") % start if end - start == timedelta(days=1) else _("Expiry %s to %s") % (start, end)
    question = {**groups, "name": name, "fleet": fleet, "expires_from": start, "expires_before": end}
    return links.with_query(reverse("admin:renewal_campaign_plan"), question)


# What a list may be narrowed by: the state and coverage that a campaign chooses by itself, and what it can be told.
_PLANNABLE = {"purpose", "state", "coverage", "fleet", "site", "batch", "not_after__gte", "not_after__lt", "p", "o"}


def _fleet_of(groups: Mapping[str, str], seen: FleetIds) -> str | None:
    """Return the fleet of the site or batch that was chosen, or the only one there is."""
    fleets = Fleet.objects.of_fleets(seen)
    if "site" in groups:
        fleets = fleets.filter(sites=int(groups["site"]))
    if "batch" in groups:
        fleets = fleets.filter(batches=int(groups["batch"]))
    found = list(fleets.values_list("pk", flat=True)[:2])
    return str(found[0]) if len(found) == 1 else None


def _midnight(text: str) -> date | None:
    """Return the day that begins at the moment of an address, None when none does."""
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.date() if start_of(moment.date()) == moment else None


def plan_view(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Show the form; on `preview` what the plan would hold; on `plan` make it and go to its page."""
    if not request.user.has_perm("renewal.add_campaign"):
        raise PermissionDenied("renewal.add_campaign")
    now = timezone.now()
    form = (
        PlanForm(request.POST, request=request, site=site)
        if request.method == "POST"
        else PlanForm(initial=_initial(request, now.astimezone(UTC).date()), request=request, site=site)
    )
    context: dict[str, Any] = {**site.each_context(request), "title": _("Plan a campaign"), "form": form, "now": now}
    if request.method == "POST" and form.is_valid():
        plan = form.plan(now)
        if "plan" in request.POST:
            try:
                campaign = planning.plan(plan, now=now, actor=actor_of(request))
            except CampaignError as refusal:
                form.add_error(None, str(refusal))
            else:
                messages.success(request, _("The campaign is planned. It sends nothing before it is started."))
                return HttpResponseRedirect(links.page("renewal_campaign", campaign.pk))
        context |= _preview(plan)
    return TemplateResponse(request, "admin/renewal/plan.html", context)


def _preview(plan: Plan) -> dict[str, Any]:
    """Return the dry run: how many, the first to end, and the name of the act. Two queries."""
    chosen = choosing.selected(plan.selection)
    total = chosen.count()
    sample = chosen.defer("der").select_related("device", "device__site", "device__batch").order_by("not_after", "id")
    act = ngettext("Plan a campaign for %(count)s device", "Plan a campaign for %(count)s devices", total)
    return {
        "plan": plan,
        "total": total,
        "sample": list(sample[:_SAMPLE]),
        "act": act % {"count": cells.count(total)},
    }
