"""The targets of campaigns, as lists that the numbers of the funnel lead to."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from inventory.admin import cells, links, named
from inventory.admin.audited import ReadOnlyAdmin
from inventory.admin.filters import SiteFilter, is_key
from inventory.admin.listing import ListAdmin
from renewal.admin.campaign_board import REFUSALS, REMINDED, REMINDED_USED, UNASKED
from renewal.board import step_yield
from renewal.board.failures import targets_refused
from renewal.board.step_yield import Stage, Step
from renewal.board.waiting import Waiting, targets_by_waiting
from renewal.campaigns.preflight import Doubt, in_doubt
from renewal.exporting import TARGETS
from renewal.models import Campaign, Target, TargetReason, TargetState
from renewal.models.campaign import ANSWERED_IN_VAIN, GIVEN_UP_STATES
from renewal.refusals import RefusalCode

_TONES = {
    TargetState.PLANNED: "neutral",
    TargetState.TRIGGERED: "attention",
    TargetState.ACKNOWLEDGED: "attention",
    TargetState.ISSUED: "attention",
    TargetState.CONFIRMED: "good",
    TargetState.ESCALATED: "late",
    TargetState.FAILED: "late",
    TargetState.WITHDRAWN: "neutral",
}

# The states of the targets that each number of a funnel counts; `planned` counts all.
STATES_PAST = {
    TargetState.TRIGGERED: (
        TargetState.TRIGGERED,
        TargetState.ACKNOWLEDGED,
        TargetState.ISSUED,
        TargetState.CONFIRMED,
    ),
    TargetState.ISSUED: (TargetState.ISSUED, TargetState.CONFIRMED),
    TargetState.CONFIRMED: (TargetState.CONFIRMED,),
    TargetState.ESCALATED: GIVEN_UP_STATES,
}


class ReachedFilter(admin.SimpleListFilter):
    """All that came to a step of the funnel, however far they went on."""

    title = _("step reached")
    parameter_name = "reached"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(state.value, state.label) for state in STATES_PAST]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        if value is None:
            return None
        states = next((past for state, past in STATES_PAST.items() if state.value == value), None)
        if states is None:
            raise IncorrectLookupParameters
        return queryset.filter(state__in=states)


class WaitingFilter(admin.SimpleListFilter):
    """What the open targets of a campaign wait for."""

    title = _("waiting")
    parameter_name = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(Waiting.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        if value is None:
            return None
        if value not in Waiting.values:
            raise IncorrectLookupParameters
        open_ones = targets_by_waiting(Campaign.objects.all()).filter(waiting=value)
        return queryset.filter(pk__in=open_ones.order_by().values("pk"))


class _OfOneCampaign(admin.SimpleListFilter):
    """A filter that has a meaning among the targets of one campaign: elsewhere it is not offered, and refused."""

    # What it is asked for is looked at even where it offers nothing: else the list would show everything.
    def has_output(self) -> bool:
        return self.value() is not None or super().has_output()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        campaign = _campaign_listed(request)
        return self.of_campaign(campaign) if campaign else []

    def of_campaign(self, campaign: Campaign) -> list[tuple[str, Any]]:
        raise NotImplementedError


class WaveFilter(_OfOneCampaign):
    """The targets of one wave of the campaign that is listed."""

    title = _("wave")
    parameter_name = "wave"

    def of_campaign(self, campaign: Campaign) -> list[tuple[str, Any]]:
        numbers = campaign.waves.values_list("number", flat=True)
        return [(str(number), str(number)) for number in numbers if number]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        if value is None:
            return None
        if not is_key(value):
            raise IncorrectLookupParameters
        return queryset.filter(wave=int(value))


class AnsweredFilter(admin.SimpleListFilter):
    """Those that answered and did not come through: what waves are judged by."""

    title = _("answered")
    parameter_name = "answered"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("in_vain", _("refused, or silent with the new certificate"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        if value is None:
            return None
        if value != "in_vain":
            raise IncorrectLookupParameters
        return queryset.filter(ANSWERED_IN_VAIN)


class MessageFilter(_OfOneCampaign):
    """The targets that a number of the table of yields counts on the page of a campaign."""

    title = _("message")
    parameter_name = "message"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        # Which steps there are, the page of the campaign says: a choice of its own would read every message.
        value = request.GET.get(self.parameter_name)
        return [(value, value)] if value else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        if value is None:
            return None
        campaign = _campaign_listed(request)
        targets = _by_message(campaign, value) if campaign else None
        if targets is None:
            raise IncorrectLookupParameters
        return queryset.filter(pk__in=targets.order_by().values("pk"))


def _by_message(campaign: Campaign, value: str) -> QuerySet[Target] | None:
    if value == UNASKED:
        return step_yield.targets_unasked(campaign)
    if value in {REMINDED, REMINDED_USED}:
        return step_yield.targets_reminded(campaign, used=value == REMINDED_USED)
    text, _dash, stage = value.rpartition("-")
    step = Step.read(text)
    return step_yield.targets_of(campaign, step, Stage(stage)) if step and stage in set(Stage) else None


class RefusedFilter(_OfOneCampaign):
    """The targets whose devices were refused a renewal since the start of the campaign, by code."""

    title = _("refused")
    parameter_name = "refused"

    def of_campaign(self, campaign: Campaign) -> list[tuple[str, Any]]:
        return [(code.value, REFUSALS.get(code.value, code.value)) for code in RefusalCode]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        if value is None:
            return None
        campaign = _campaign_listed(request)
        if value not in set(RefusalCode) or campaign is None:
            raise IncorrectLookupParameters
        return queryset.filter(pk__in=targets_refused(campaign, value).order_by().values("pk"))


class DoubtFilter(_OfOneCampaign):
    """The targets that a doubt counts on the page of a campaign before it starts."""

    title = _("doubt")
    parameter_name = "doubt"

    def of_campaign(self, campaign: Campaign) -> list[tuple[str, Any]]:
        return list(Doubt.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        if value is None:
            return None
        campaign = _campaign_listed(request)
        if value not in Doubt.values or campaign is None:
            raise IncorrectLookupParameters
        return queryset.filter(pk__in=in_doubt(campaign, Doubt(value), timezone.now()).order_by().values("pk"))


def _campaign_listed(request: HttpRequest) -> Campaign | None:
    """Return the campaign whose targets are listed, None when they are of any."""
    # As our own addresses say it, or the choice of the filter panel.
    key = request.GET.get("campaign") or request.GET.get("campaign__id__exact", "")
    if not is_key(key):
        return None
    # Of what one may not see, one does not learn that it is there.
    seen = Campaign.objects.visible_to(request.user).select_related("fleet__profile")
    return seen.filter(pk=int(key)).first()


class TargetSiteFilter(SiteFilter):
    path = "device__"


class TargetAdmin(ListAdmin, ReadOnlyAdmin):
    empty_state = _("No target yet. A campaign that starts freezes its targets.")
    change_list_template = "admin/renewal/targets.html"
    change_form_template = "admin/renewal/target.html"
    listing = TARGETS
    sortable_by = ()
    list_display = [
        "device_serial",
        "campaign_name",
        "site_name",
        "state_word",
        "why",
        "attempts_made",
        "next",
        "ends",
        "seen",
    ]
    list_filter = [
        ReachedFilter,
        WaitingFilter,
        AnsweredFilter,
        MessageFilter,
        RefusedFilter,
        DoubtFilter,
        WaveFilter,
        "state",
        TargetSiteFilter,
        "campaign",
    ]
    list_display_links = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Target]:
        # Here and not in `list_select_related`, which the admin leaves aside once a queryset selects for itself.
        targets = (
            super().get_queryset(request).select_related("campaign", "device__site", "device__presence", "certificate")
        )
        return targets.defer("certificate__der")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list, which names the campaign that it is narrowed to."""
        named = {"campaign": _campaign_listed(request)}
        return super().changelist_view(request, {**named, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        target = self.get_object(request, object_id)
        seen = target is not None and self.has_view_permission(request, target)
        page = {"target": target, "state": self.state_word(target), "why": self.why(target)} if target and seen else {}
        return super().change_view(
            request, object_id, form_url, {"now": timezone.now(), **page, **(extra_context or {})}
        )

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return lookup in {"campaign", "device"} or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    @admin.display(description=_("device"))
    def device_serial(self, target: Target) -> SafeString:
        return cells.link(links.device(target.device_id), target.device.serial)

    @admin.display(description=_("campaign"))
    def campaign_name(self, target: Target) -> SafeString:
        return cells.link(links.page("renewal_campaign", target.campaign_id), cells.name(target.campaign.name))

    @admin.display(description=_("site"))
    def site_name(self, target: Target) -> SafeString:
        return named.from_row(target.device.site, target)

    @admin.display(description=_("state"))
    def state_word(self, target: Target) -> SafeString:
        state = TargetState(target.state)
        word = cells.state(_TONES[state], state.label)
        return cells.link(links.page("renewal_target", target.pk), word)

    @admin.display(description=_("reason"))
    def why(self, target: Target) -> str | SafeString:
        refused = _("refused: %(code)s") % {"code": target.refusal} if target.refusal else ""
        return str(TargetReason(target.reason).label) if target.reason else refused or cells.NOTHING

    @admin.display(description=_("next step"))
    def next(self, target: Target) -> SafeString:
        return cells.when(target.next_step_by_wall_clock, timezone.now(), to_the_minute=True)

    @admin.display(description=_("certificate ends"))
    def ends(self, target: Target) -> SafeString:
        return cells.when(target.ends_at, timezone.now())

    @admin.display(description=_("last seen"))
    def seen(self, target: Target) -> SafeString:
        return cells.when(target.device.last_seen_at, timezone.now(), to_the_minute=True)
