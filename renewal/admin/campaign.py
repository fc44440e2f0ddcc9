"""Campaigns and their targets: watched live, started and paused by a person."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from inventory.admin import cells, links, named
from inventory.admin.audited import ReadOnlyAdmin, actor_of
from inventory.admin.filters import NONE, FleetFilter
from inventory.approvals.deciding import Refused
from inventory.formats import spans
from renewal import story, target_counts
from renewal.admin import campaign_board
from renewal.admin.adjusting import adjust_view
from renewal.admin.campaign_board import targets_url
from renewal.admin.chosen import ChosenList
from renewal.admin.planning import plan_view
from renewal.admin.waves import breaches, open_view, wave_part
from renewal.board import snapshot, waiting
from renewal.board.funnel import Funnel, by_site, funnels
from renewal.board.waiting import Waiting
from renewal.campaigns import agreeing, ladder_text, planning, preflight
from renewal.campaigns.ladder import Ladder
from renewal.campaigns.planning import CampaignError
from renewal.models import Campaign, CampaignState, ChannelTrouble, TargetState

# htmx stops polling when it is answered with this status.
STOP_POLLING = 286
# Grouping a million targets takes a second: pages of large campaigns ask less often.
_SMALL = 100_000
_SECONDS_BETWEEN_LOOKS = 2
_SECONDS_BETWEEN_LOOKS_AT_MANY = 30
_MOST_SITES = 24
_MOST_LATEST = 12
_TONES = {
    CampaignState.PLANNED: "neutral",
    CampaignState.RUNNING: "good",
    CampaignState.PAUSED: "attention",
    CampaignState.FINISHED: "neutral",
    CampaignState.STOPPED: "neutral",
}


@dataclass(frozen=True)
class FunnelStep:
    """One number of a funnel, and the list of the targets it counts."""

    state: TargetState
    count: int
    url: str


def steps(campaign: Campaign, funnel: Funnel) -> list[FunnelStep]:
    """Return the numbers that lead from planned to confirmed, and then the escalated."""
    reached = [
        FunnelStep(state, count, targets_url(campaign, reached=None if state == TargetState.PLANNED else state.value))
        for state, count in funnel.reached.items()
    ]
    escalated = TargetState.ESCALATED
    left = FunnelStep(escalated, funnel.left_to_people, targets_url(campaign, reached=escalated.value))
    return [*reached, left]


@dataclass(frozen=True)
class SiteRow:
    """A site on the page of a campaign: the list of its targets, and each number with the list of what it counts."""

    site_id: int | None
    name: str
    total: int
    url: str
    counts: list[FunnelStep]


def site_rows(campaign: Campaign) -> list[SiteRow]:
    """Return the sites of a campaign, at most `_MOST_SITES`, and one more when there are more. One query."""
    rows = []
    for line in by_site(campaign, _MOST_SITES + 1):
        site = NONE if line.site_id is None else line.site_id
        counts = [
            FunnelStep(state, count, targets_url(campaign, site=site, state__exact=state.value))
            for state, count in line.now.items()
        ]
        rows.append(SiteRow(line.site_id, line.name, line.total, targets_url(campaign, site=site), counts))
    return rows


@dataclass(frozen=True)
class WaitingRow:
    """How many open targets wait for something: a number, its share of the open ones, and the list of them."""

    label: str
    count: int
    share: float
    url: str


def waiting_rows(campaign: Campaign) -> list[WaitingRow]:
    """Return what the open targets of a campaign wait for. The counts add up to the open ones.

    One query, one more when any are asleep.
    """
    counts = waiting.counts(campaign)
    total = sum(counts.values())
    labels = {each: str(each.label) for each in counts}
    if Waiting.ASLEEP in counts and (by := waiting.most_awake_by(campaign, counts[Waiting.ASLEEP])):
        labels[Waiting.ASLEEP] += _("; nine in ten should be awake by %(when)s UTC") % {
            "when": f"{by.astimezone(UTC):%Y-%m-%d %H:%M}"
        }
    return [
        WaitingRow(labels[each], count, count / total, targets_url(campaign, waiting=each.value))
        for each, count in counts.items()
    ]


@dataclass(frozen=True)
class PreflightLine:
    """What a person should know before the start, with the list of what it counts if it counts something."""

    tone: str
    text: str
    count: int | None = None
    url: str = ""


def preflight_lines(campaign: Campaign, now: datetime) -> list[PreflightLine]:
    """Return what is to be known of a campaign before it starts, worst first. Four queries."""
    found = preflight.look(campaign, now)
    lines = [
        PreflightLine("attention", str(doubt.label), count, targets_url(campaign, doubt=doubt.value))
        for doubt, count in found.doubts.items()
    ]
    for each in found.elsewhere:
        text = _("certificates of the span are in campaign “%(campaign)s” already; they are not in this one")
        lines.append(
            PreflightLine("neutral", text % {"campaign": each.campaign.name}, each.count, targets_url(each.campaign))
        )
    if found.shortened_to:
        text = _("New certificates end with their issuer, on %(day)s: shorter than the profile says.")
        lines.append(PreflightLine("attention", text % {"day": f"{found.shortened_to:%Y-%m-%d}"}))
    load = found.load
    messages = ", ".join(f"{channel.label} {cells.count(number)}" for channel, number in load.messages.items())
    text = _("If nobody answers: %(messages)s messages. The first round takes %(first)s, the whole ladder %(all)s.")
    words = {
        "messages": messages or "0",
        "first": spans.written(timedelta(minutes=ceil(load.first_round / timedelta(minutes=1)))),
        "all": spans.written(load.climbed_in),
    }
    return [*lines, PreflightLine("neutral", text % words)]


def escalated_line(campaign: Campaign, escalated: int) -> str:
    """Return what a person does about the escalated, or nothing when there are none."""
    if not escalated:
        return ""
    text = ngettext(
        "%(count)s device could not be reached: somebody must go and see it. "
        "It leaves the list once it has renewed or is out of service.",
        "%(count)s devices could not be reached: somebody must go and see them. "
        "Each leaves the list once it has renewed or is out of service.",
        escalated,
    )
    return text % {"count": cells.count(escalated)}


class CampaignAdmin(ReadOnlyAdmin):
    empty_state = gettext_lazy("No campaign yet. Plan one here, or from a cell of the expiry map.")
    change_form_template = "admin/renewal/campaign.html"
    change_list_template = "admin/renewal/campaigns.html"
    list_display = ["title", "fleet_name", "state_word", "progress", "targets", "due", "created"]
    list_select_related = ["fleet"]
    list_filter = ["state", FleetFilter]
    search_fields = ["name"]

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        own = [
            path("plan/", guard(self.plan), name="renewal_campaign_plan"),
            path("<int:pk>/progress/", guard(self.progress_block), name="renewal_campaign_progress"),
            path("<int:pk>/board/", guard(self.board_block), name="renewal_campaign_board"),
            path("<int:pk>/report/<slug:kind>/", guard(self.report), name="renewal_campaign_report"),
            path("<int:pk>/start/", guard(self.start), name="renewal_campaign_start"),
            path("<int:pk>/pause/", guard(self.pause), name="renewal_campaign_pause"),
            path("<int:pk>/stop/", guard(self.stop), name="renewal_campaign_stop"),
            path("<int:pk>/adjust/", guard(self.adjust), name="renewal_campaign_adjust"),
            path("<int:pk>/open/", guard(self.open_wave), name="renewal_campaign_open_wave"),
        ]
        return [*own, *super().get_urls()]

    # --- The list ---------------------------------------------------------------------------------------------------

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist = super().get_changelist_instance(request)
        rows = list(changelist.result_list)
        found = funnels(rows)
        for campaign in rows:
            campaign.funnel = found[campaign.pk]
        changelist.result_list = rows
        return changelist

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def title(self, campaign: Campaign) -> SafeString:
        return cells.name(campaign.name)

    @admin.display(description=gettext_lazy("fleet"))
    def fleet_name(self, campaign: Campaign) -> SafeString:
        return named.from_row(campaign.fleet, campaign)

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def state_word(self, campaign: Campaign) -> SafeString:
        return _state(campaign)

    @admin.display(description=gettext_lazy("confirmed"))
    def progress(self, campaign: Campaign) -> str:
        return f"{campaign.funnel.done:.0%}"  # type: ignore[attr-defined]  # set in get_changelist_instance

    @admin.display(description=gettext_lazy("targets"))
    def targets(self, campaign: Campaign) -> SafeString:
        return cells.link(targets_url(campaign), cells.count(campaign.funnel.total))  # type: ignore[attr-defined]

    @admin.display(description=gettext_lazy("due"), ordering="due_at")
    def due(self, campaign: Campaign) -> SafeString:
        return cells.when(campaign.due_at, timezone.now())

    @admin.display(description=gettext_lazy("created"), ordering="created_at")
    def created(self, campaign: Campaign) -> SafeString:
        return cells.when(campaign.created_at, timezone.now())

    # --- The page ---------------------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        campaign: Campaign | None = self.get_object(request, object_id)
        context = {}
        if campaign:
            now = timezone.now()
            context = self.page(campaign, now)
            board = snapshot.shown(campaign, context["funnel"].total, now)
            context |= campaign_board.context(campaign, board)
        context["may_steer"] = request.user.has_perm("renewal.change_campaign")
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def page(self, campaign: Campaign, now: datetime) -> dict[str, Any]:
        """Return what the page and its polled block show. Six queries more than the campaign itself."""
        funnel = funnels([campaign])[campaign.pk]
        sites = site_rows(campaign)
        running = campaign.state == CampaignState.RUNNING
        return {
            "now": now,
            "campaign": campaign,
            "state": _state(campaign),
            "steps": steps(campaign, funnel),
            "funnel": funnel,
            "done": funnel.done,
            "trouble": ChannelTrouble.objects.current(now).first() if running else None,
            "escalated": escalated_line(campaign, funnel.left_to_people),
            "escalated_url": targets_url(campaign, reached=TargetState.ESCALATED.value),
            "ladder": _ladder(campaign),
            "preflight": preflight_lines(campaign, now) if campaign.state == CampaignState.PLANNED else [],
            "chosen_list": ChosenList.read(campaign.chosen_from),
            "waves": wave_part(campaign, now),
            "breaches": breaches(campaign),
            "waiting": waiting_rows(campaign) if campaign.state != CampaignState.PLANNED else [],
            "sites": sites[:_MOST_SITES],
            "more_sites": len(sites) > _MOST_SITES,
            "targets_url": targets_url(campaign),
            "states": list(TargetState),
            "latest": story.latest(campaign, _MOST_LATEST),
            "every": _SECONDS_BETWEEN_LOOKS if funnel.total <= _SMALL else _SECONDS_BETWEEN_LOOKS_AT_MANY,
            "certificates_url": links.certificates(
                fleet=campaign.fleet_id, expires_from=campaign.expires_from, expires_before=campaign.expires_before
            ),
        }

    def progress_block(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Answer the polling of the page; the last answer tells the browser to stop."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        campaign = self._find(request, pk)
        if campaign is None:
            raise Http404
        ended = campaign.state in (CampaignState.FINISHED, CampaignState.STOPPED)
        status = STOP_POLLING if ended else 200
        return TemplateResponse(
            request, "admin/renewal/campaign_progress.html", self.page(campaign, timezone.now()), status=status
        )

    def board_block(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Answer the page's asking for its board, less often than for its numbers."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        campaign = self._find(request, pk)
        if campaign is None:
            raise Http404
        now = timezone.now()
        board = snapshot.shown(campaign, target_counts.total(campaign), now)
        context = {"campaign": campaign, "now": now, **campaign_board.context(campaign, board)}
        return TemplateResponse(request, "admin/renewal/campaign_board.html", context)

    def report(self, request: HttpRequest, pk: int, kind: str) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        campaign = self._find(request, pk)
        if campaign is None:
            raise Http404
        return campaign_board.report(campaign, kind, now=timezone.now(), actor=actor_of(request))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Campaign]:
        campaigns: QuerySet[Campaign] = super().get_queryset(request)
        return campaigns.select_related("fleet__profile", "fleet__authority__certificate", "site", "batch")

    def _find(self, request: HttpRequest, pk: int) -> Campaign | None:
        return self.get_queryset(request).filter(pk=pk).first()

    # --- Steering ---------------------------------------------------------------------------------------------------

    def plan(self, request: HttpRequest) -> HttpResponse:
        return plan_view(request, self.admin_site)

    def start(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._steer(request, pk, planning.start, "start")

    def pause(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._steer(request, pk, planning.pause, "pause")

    def stop(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._steer(request, pk, planning.stop, "stop")

    def adjust(self, request: HttpRequest, pk: int) -> HttpResponse:
        campaign = self._find(request, pk)
        if campaign is None:
            raise Http404
        return adjust_view(request, campaign, self.admin_site)

    def open_wave(self, request: HttpRequest, pk: int) -> HttpResponse:
        campaign = self._find(request, pk)
        if campaign is None:
            raise Http404
        return open_view(request, campaign, self.admin_site)

    def _steer(self, request: HttpRequest, pk: int, act: Callable[..., None], verb: str) -> HttpResponse:
        """Show what the act does; do it on POST."""
        if not request.user.has_perm("renewal.change_campaign"):
            raise PermissionDenied("renewal.change_campaign")
        campaign = self._find(request, pk)
        if campaign is None:
            raise Http404
        done = {"start": _("Started."), "pause": _("Paused."), "stop": _("Stopped.")}
        two = verb == "start" and planning.needs_second_person(campaign)
        if request.method == "POST" and two:
            return self._propose(request, campaign)
        if request.method == "POST":
            try:
                act(campaign, now=timezone.now(), actor=actor_of(request))
            except CampaignError as refusal:
                messages.error(request, str(refusal))
            else:
                messages.success(request, done[verb])
            return HttpResponseRedirect(links.page("renewal_campaign", pk))
        titles = {"start": _("Start campaign"), "pause": _("Pause campaign"), "stop": _("Stop campaign")}
        context = {
            **self.admin_site.each_context(request),
            "campaign": campaign,
            "state": _state(campaign),
            "devices": target_counts.total(campaign),
            "ladder": _ladder(campaign),
            "breaches": breaches(campaign),
            "title": titles[verb],
            "verb": verb,
            "two": two,
            "proposal": agreeing.waiting(campaign) if two else None,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/renewal/steer.html", context)

    def _propose(self, request: HttpRequest, campaign: Campaign) -> HttpResponse:
        """Propose the start of a campaign to a second person, with a reason."""
        back = HttpResponseRedirect(links.page("renewal_campaign", campaign.pk))
        reason = request.POST.get("reason", "").strip()
        if not reason:
            messages.error(request, _("Say why: the second person and the audit log read it."))
            return back
        made = agreeing.propose_start(campaign, reason=reason, now=timezone.now(), actor=actor_of(request))
        if isinstance(made, Refused):
            messages.error(request, str(made.text))
            return back
        messages.success(request, _("Proposed; the campaign starts once a second person approves it."))
        return HttpResponseRedirect(links.page("inventory_proposal", made.pk))


def _state(campaign: Campaign) -> SafeString:
    return cells.state(_TONES[CampaignState(campaign.state)], campaign.get_state_display())


def _ladder(campaign: Campaign) -> str:
    return ladder_text.written(Ladder.from_json(campaign.ladder))
