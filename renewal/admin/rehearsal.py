"""What-if runs: asked for with a lead, a ladder and numbers of one's own; watched, read and compared."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.admin import cells, links
from inventory.admin.audited import ReadOnlyAdmin, actor_of
from inventory.admin.filters import is_key
from inventory.models import fleets_of
from renewal.admin.rehearsal_form import LABELS, LEAD, METERS, RehearsalForm, initial, of_plan
from renewal.campaigns import ladder_text
from renewal.models import Campaign, Channel, Rehearsal, RehearsalState
from renewal.models.rehearsal import UNFINISHED
from renewal.simulation import rehearsing
from renewal.simulation.fleet import report
from renewal.simulation.fleet.scenario import Scenario

# htmx stops polling when it is answered with this status.
_STOP_POLLING = 286
# The button of a plan.
FROM_PLAN = "from_plan"
_CAMPAIGNS_OFFERED = 50
_DAYS_APART = 10
_TONES = {
    RehearsalState.WAITING: "neutral",
    RehearsalState.RUNNING: "attention",
    RehearsalState.FINISHED: "good",
    RehearsalState.FAILED: "stopped",
}
_OUTCOME = {
    "renewed": gettext_lazy("renewed"),
    "orders_opened": gettext_lazy("work orders opened"),
    "visits": gettext_lazy("visits"),
    "expired_in_service": gettext_lazy("expired in service"),
    "expired_unvisited": gettext_lazy("of them not visited in time"),
    "expired_reachable": gettext_lazy("of them on the network meanwhile"),
}
_FOUND = gettext_lazy("found at visits: %s")
_MESSAGES = gettext_lazy("messages by %s")


@dataclass(frozen=True)
class Row:
    """One line of the table of outcomes: a count and what it is for each meter, of this run and of the other."""

    label: str
    here: int
    here_each: str
    there: int | None = None
    there_each: str = ""


@dataclass(frozen=True)
class Changed:
    """One number that is not as packaged, in this run or in the other."""

    label: str
    packaged: str
    here: str
    there: str


def share_of(count: int, devices: int) -> str:
    return f"{count / devices:.2%}"


def sentence(run: Rehearsal) -> str:
    """Return what came of a finished run in one sentence."""
    result = run.result or {}
    people, devices = result["field_interventions"], result["devices"]
    return _(
        "Of %(devices)s meters %(people)s (%(share)s) would need a person; %(expired)s would expire in service."
    ) % {
        "devices": cells.count(devices),
        "people": cells.count(people),
        "share": share_of(people, devices),
        "expired": cells.count(result["expired_in_service"]),
    }


def told_differences(run: Rehearsal) -> str:
    """Return in what a run differs from the packaged scenario, in one line."""
    here, packaged = rehearsing.scenario_of(run), rehearsing.packaged()
    told = [f"{LABELS[each.name]} {each.there:g} → {each.here:g}" for each in rehearsing.differences(here, packaged)]
    if here.ladder != packaged.ladder:
        told.append(_("Ladder"))
    return "; ".join(told) or _("as packaged")


def outcome(run: Rehearsal, other: Rehearsal | None) -> list[Row]:
    """Return the table of outcomes."""
    here = _counts(run)
    there = _counts(other) if other else {}
    return [
        Row(label, count, each, *there.get(label, (0, share_of(0, 1)) if other else (None, "")))
        for label, (count, each) in {**{label: (0, share_of(0, 1)) for label in there}, **here}.items()
    ]


def _counts(run: Rehearsal) -> dict[str, tuple[int, str]]:
    """Return each count of a result by its label, and what it is for each meter."""
    result: Mapping[str, Any] = run.result or {}
    devices = result["devices"]
    shares = {str(label): result[name] for name, label in _OUTCOME.items()}
    shares |= {str(_FOUND) % found.replace("_", " "): number for found, number in result["found_at_visits"].items()}
    counts = {label: (number, share_of(number, devices)) for label, number in shares.items()}
    for channel in Channel:
        if number := result["messages"].get(channel.value):
            counts[str(_MESSAGES) % channel.label] = number, f"{number / devices:.2f}"
    return counts


def changes(here: Scenario, there: Scenario | None) -> Iterator[Changed]:
    """Yield the numbers of two scenarios that are not as packaged in both."""
    packaged = rehearsing.packaged()
    for name, value in packaged.numbers().items():
        ours, theirs = here.numbers()[name], (there or packaged).numbers()[name]
        if {ours, theirs} != {value}:
            yield Changed(str(LABELS[name]), f"{value:g}", f"{ours:g}", f"{theirs:g}")


def course_rows(run: Rehearsal) -> list[tuple[int, int, str]]:
    """Return every tenth day and the last: the day, how many have renewed by its end, and the share still open."""
    result: Mapping[str, Any] = run.result or {}
    course, devices = result["course"], result["devices"]
    days = sorted({*range(_DAYS_APART, len(course) + 1, _DAYS_APART), len(course)} - {0})
    return [
        (day, course[day - 1]["confirmed"], share_of(devices - course[day - 1]["confirmed"], devices)) for day in days
    ]


def picture(run: Rehearsal) -> SafeString:
    # Drawn by a template of ours.
    return mark_safe(report.picture(run.result or {}, rehearsing.scenario_of(run)))  # noqa: S308


class RehearsalAdmin(ReadOnlyAdmin):
    empty_state = gettext_lazy("No run yet. Ask what a campaign would come to before you plan it.")
    change_form_template = "admin/renewal/rehearsal.html"
    change_list_template = "admin/renewal/rehearsals.html"
    list_display = ["title", "state_word", "people", "expired", "meters", "differs", "asked", "who"]
    list_display_links = ["title"]

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        own = [
            path("ask/", guard(self.ask), name="renewal_rehearsal_ask"),
            path("<int:pk>/progress/", guard(self.progress_block), name="renewal_rehearsal_progress"),
        ]
        return [*own, *super().get_urls()]

    # --- The list ---------------------------------------------------------------------------------------------------

    @admin.display(description=gettext_lazy("run"))
    def title(self, run: Rehearsal) -> str:
        return _("What if %s") % run

    @admin.display(description=gettext_lazy("state"))
    def state_word(self, run: Rehearsal) -> SafeString:
        return cells.state(_TONES[RehearsalState(run.state)], run.get_state_display())

    @admin.display(description=gettext_lazy("what differs from the packaged scenario"))
    def differs(self, run: Rehearsal) -> str:
        return told_differences(run)

    @admin.display(description=gettext_lazy("meters"))
    def meters(self, run: Rehearsal) -> str:
        return cells.count(run.devices)

    @admin.display(description=gettext_lazy("need a person"))
    def people(self, run: Rehearsal) -> str:
        if run.result is None:
            return ""
        people = run.result["field_interventions"]
        return f"{cells.count(people)} ({share_of(people, run.devices)})"

    @admin.display(description=gettext_lazy("expired in service"))
    def expired(self, run: Rehearsal) -> str:
        return cells.count(run.result["expired_in_service"]) if run.result else ""

    @admin.display(description=gettext_lazy("asked"))
    def asked(self, run: Rehearsal) -> SafeString:
        return cells.when(run.asked_at, timezone.now(), to_the_minute=True)

    @admin.display(description=gettext_lazy("who"))
    def who(self, run: Rehearsal) -> SafeString:
        return cells.name(run.asked_by)

    # --- The page ---------------------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        run: Rehearsal | None = self.get_object(request, object_id)
        context = self.page(request, run) if run else {}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def page(self, request: HttpRequest, run: Rehearsal) -> dict[str, Any]:
        """Return what the page and its polled block show."""
        context: dict[str, Any] = {
            "run": run,
            "now": timezone.now(),
            "state": cells.state(_TONES[RehearsalState(run.state)], run.get_state_display()),
            "going_on": run.state in UNFINISHED,
            "days": rehearsing.scenario_of(run).lead_days,
            "expected": rehearsing.expected(run.devices, rehearsing.latest_finished()),
            "differs": told_differences(run),
            "ladder": ladder_text.written(rehearsing.scenario_of(run).ladder),
            "may_ask": request.user.has_perm("renewal.add_campaign"),
        }
        return {**context, **self._outcome(request, run)} if run.result else context

    def _outcome(self, request: HttpRequest, run: Rehearsal) -> dict[str, Any]:
        others = self.get_queryset(request).filter(state=RehearsalState.FINISHED).exclude(pk=run.pk)
        chosen = request.GET.get("with", "")
        other = others.filter(pk=int(chosen)).first() if is_key(chosen) else None
        here = rehearsing.scenario_of(run)
        there = rehearsing.scenario_of(other) if other else None
        packaged = rehearsing.packaged()
        ladders = [("packaged", packaged.ladder)] + ([(f"what if {other}", there.ladder)] if other and there else [])
        return {
            "sentence": sentence(run),
            "other": other,
            "other_sentence": sentence(other) if other else "",
            "others": [(each.pk, f"{each}: {told_differences(each)}") for each in others[: rehearsing.KEPT]],
            "rows": outcome(run, other),
            "changes": list(changes(here, there)),
            "other_ladders": [(name, ladder_text.written(each)) for name, each in ladders if each != here.ladder],
            "picture": picture(run),
            "other_picture": picture(other) if other else "",
            "course": course_rows(run),
            "plan_url": links.with_query(
                reverse("admin:renewal_campaign_plan"), {"ladder": ladder_text.written(here.ladder)}
            ),
        }

    def progress_block(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Answer the polling of the page; the last answer tells the browser to stop."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = self.get_queryset(request).filter(pk=pk).first()
        if run is None:
            raise Http404
        context = self.page(request, run)
        status = 200 if context["going_on"] else _STOP_POLLING
        return TemplateResponse(request, "admin/renewal/rehearsal_progress.html", context, status=status)

    # --- Asking for one ---------------------------------------------------------------------------------------------

    def ask(self, request: HttpRequest) -> HttpResponse:
        """Show the form; on POST write the run down, for a worker, and go to its page."""
        fleets = fleets_of(request.user)
        # Whoever is of no fleet has nothing to plan a campaign for.
        if not request.user.has_perm("renewal.add_campaign") or (fleets is not None and not fleets):
            raise PermissionDenied("renewal.add_campaign")
        how_long = _how_long(rehearsing.latest_finished())
        # The page of a plan hands over what it asks for itself.
        asked = request.method == "POST" and FROM_PLAN not in request.POST
        if asked:
            form = RehearsalForm(request.POST, how_long=how_long)
        else:
            planned = of_plan(request.POST.dict(), timezone.now().astimezone(UTC).date())
            form = RehearsalForm(initial=initial(self._like(request)) | planned, how_long=how_long)
        if asked and form.is_valid():
            try:
                run = rehearsing.ask(form.order(), fleets=fleets, now=timezone.now(), actor=actor_of(request))
            except rehearsing.NotAsked as refusal:
                form.add_error(None, str(refusal))
            else:
                return HttpResponseRedirect(links.page("renewal_rehearsal", run.pk))
        campaigns = Campaign.objects.visible_to(request.user).order_by("-pk")[:_CAMPAIGNS_OFFERED]
        context = {
            **self.admin_site.each_context(request),
            "title": _("What if"),
            "form": form,
            "lead": form[LEAD],
            "groups": list(form.groups()),
            "campaigns": [(str(pk), name) for pk, name in campaigns.values_list("pk", "name")],
            "campaign": request.GET.get("campaign", ""),
            "may_look": self.has_view_permission(request),
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/renewal/ask_rehearsal.html", context)

    def _like(self, request: HttpRequest) -> Campaign | Rehearsal | None:
        """Return what the address says to begin with: the ladder of a campaign, or an earlier run."""
        campaign, run = request.GET.get("campaign", ""), request.GET.get("run", "")
        if is_key(run):
            return self.get_queryset(request).filter(pk=int(run)).first()
        return Campaign.objects.visible_to(request.user).filter(pk=int(campaign)).first() if is_key(campaign) else None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rehearsal]:
        rows: QuerySet[Rehearsal] = super().get_queryset(request)
        return rows


def _how_long(finished: list[Rehearsal]) -> str:
    """Return how long a run takes, by those before."""
    words = {"most": cells.count(rehearsing.MOST_METERS), "usual": cells.count(METERS)}
    long, short = (rehearsing.expected(devices, finished) for devices in (rehearsing.MOST_METERS, METERS))
    if long is None or short is None:
        return _("At most %(most)s. %(usual)s take a few minutes.") % words
    text = _("At most %(most)s. By the runs before, %(usual)s take about %(short)s, %(most)s about %(long)s.")
    return text % {**words, "short": cells.span(short), "long": cells.span(long)}
