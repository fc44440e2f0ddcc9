"""Work orders, the teams that carry them out, and what is noted on devices."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from inventory.admin import cells, links, named
from inventory.admin.audited import AuditedAdmin, ReadOnlyAdmin, actor_of
from inventory.admin.filters import NONE, FleetFilter, SiteFilter, is_key
from inventory.admin.listing import CURSOR, ExportLink, ListAdmin
from inventory.models import FleetIds, fleets_of
from renewal.exporting import WORK_ORDERS
from renewal.field import assigning, files, healing
from renewal.field.addresses import page_of
from renewal.field.downloads import download
from renewal.field.files import FileKind
from renewal.field.healing import Chance
from renewal.field.itinerary import note_of
from renewal.field.refused import Refused
from renewal.models import Campaign, DeviceNote, Outcome, Team, WorkOrder
from renewal.models.work_order import WorkOrderQuerySet

_ASSIGN = "renewal.assign_workorder"
_SAMPLE = 8
# Of one act: what is more is narrowed first.
_MOST_ASSIGNED = 5000
_MOST_CAMPAIGNS = 50
_TONES = {
    Outcome.RENEWED: "good",
    Outcome.WITHDRAWN: "neutral",
    Outcome.RENEWED_ON_SITE: "good",
    Outcome.REPLACED: "neutral",
    Outcome.DEAD_ZONE: "late",
    Outcome.DECOMMISSIONED: "stopped",
}


def chance_text(chance: Chance | None) -> str:
    """Return how many came back, with the number that it is of; nothing where too little is known."""
    if chance is None:
        return ""
    words = {"percent": chance.percent, "devices": cells.count(chance.devices)}
    return (_("%(percent)s %% of %(devices)s here") if chance.at_site else _("%(percent)s %% of %(devices)s")) % words


class StateFilter(admin.SimpleListFilter):
    """Where an order stands. Without a choice: all that are open."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            *((outcome.value, outcome.label) for outcome in Outcome),
            ("all", gettext_lazy("open and closed")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value is None:
            return queryset.filter(closed_at=None)
        if value in Outcome.values:
            return queryset.filter(outcome=value)
        if value != "all":
            raise IncorrectLookupParameters
        return queryset

    def choices(self, changelist: ChangeList) -> Any:
        choices = list(super().choices(changelist))
        choices[0]["display"] = _("open")
        return choices


class TeamFilter(admin.SimpleListFilter):
    title = gettext_lazy("team")
    parameter_name = "team"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        teams = Team.objects.of_fleets(fleets_of(request.user)).values_list("id", "name")
        return [*((str(pk), cells.name(name)) for pk, name in teams), (NONE, gettext_lazy("none yet"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        if value is None:
            return None
        if value == NONE:
            return queryset.filter(team=None)
        if not is_key(value):
            raise IncorrectLookupParameters
        return queryset.filter(team=int(value))


class OrderFleetFilter(FleetFilter):
    path = "device__"


class OrderSiteFilter(SiteFilter):
    path = "device__"


class TeamField(forms.ModelChoiceField):  # type: ignore[type-arg]  # generic only in the stubs
    """Teams of several fleets may have one name."""

    def label_from_instance(self, obj: Team) -> str:
        return cells.visible(f"{obj.name}, {obj.fleet.name}")


class OrderCampaignFilter(admin.SimpleListFilter):
    """The orders of one campaign, which its page leads to."""

    title = gettext_lazy("campaign")
    parameter_name = "campaign"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        campaigns = Campaign.objects.of_fleets(fleets_of(request.user)).order_by("-created_at")
        return [(str(pk), cells.name(name)) for pk, name in campaigns.values_list("id", "name")[:_MOST_CAMPAIGNS]]

    def is_value(self, request: HttpRequest, value: str) -> bool:
        return is_key(value) and Campaign.objects.of_fleets(fleets_of(request.user)).filter(pk=int(value)).exists()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        if value is None:
            return None
        if not is_key(value):
            raise IncorrectLookupParameters
        return queryset.filter(target__campaign=int(value))


class AssignForm(forms.Form):
    team = TeamField(Team.objects.none(), label=gettext_lazy("Team"))
    assigned_to = forms.CharField(
        label=gettext_lazy("Person"),
        max_length=150,
        required=False,
        help_text=gettext_lazy("User name of a member of the team; empty: whoever of the team goes."),
    )

    def __init__(self, *args: Any, fleets: FleetIds, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        team: Any = self.fields["team"]
        team.queryset = Team.objects.of_fleets(fleets).select_related("fleet")

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        name, team = values.get("assigned_to"), values.get("team")
        values["person"] = team.members.filter(username=name).first() if team and name else None
        if team and name and values["person"] is None:
            self.add_error("assigned_to", _("Nobody of this name is in the team."))
        return values


class WorkOrderAdmin(ListAdmin, ReadOnlyAdmin):
    empty_state = gettext_lazy(
        "No work order. One opens when a device of a running campaign has answered on no channel and its certificate "
        "ends soon, and closes when the device renews."
    )
    change_list_template = "admin/renewal/work_orders.html"
    change_form_template = "admin/renewal/work_order.html"
    listing = WORK_ORDERS
    list_order = "due_at"
    sortable_by = ()
    list_display = [
        "device_serial", "site_name", "due", "go", "seen", "attempts", "heals", "team_name", "state_word", "since",
        "page_link",
    ]  # fmt: skip
    list_display_links = None
    list_filter = [StateFilter, OrderFleetFilter, OrderSiteFilter, TeamFilter, OrderCampaignFilter]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        orders: Any = super().get_queryset(request)
        listed: QuerySet[Any] = orders.with_facts()
        return listed

    def get_urls(self) -> list[URLPattern]:
        assign = path("assign/", self.admin_site.admin_view(self.assign), name="renewal_workorder_assign")
        return [assign, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may = request.user.has_perm(_ASSIGN)
        page: HttpResponse = super().changelist_view(request, {**(extra_context or {}), "may_assign": may})
        return page

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist = super().get_changelist_instance(request)
        rows: list[Any] = list(changelist.result_list)
        found = healing.chances(rows, timezone.now())
        for order in rows:
            order.chance = found.get(order.pk)
        changelist.result_list = rows
        return changelist

    # --- The list ---------------------------------------------------------------------------------------------------

    @admin.display(description=gettext_lazy("device"))
    def device_serial(self, order: WorkOrder) -> SafeString:
        return cells.link(links.device(order.device_id), order.device.serial)

    @admin.display(description=gettext_lazy("site"))
    def site_name(self, order: WorkOrder) -> SafeString:
        return named.from_row(order.device.site, order)

    @admin.display(description=gettext_lazy("due"))
    def due(self, order: WorkOrder) -> SafeString:
        return cells.when(order.due_at, timezone.now())

    @admin.display(description=gettext_lazy("go from"))
    def go(self, order: WorkOrder) -> str | SafeString:
        now = timezone.now()
        return cells.when(order.go_from, now) if order.go_from > now else _("now")

    @admin.display(description=gettext_lazy("last seen"))
    def seen(self, order: WorkOrder) -> SafeString:
        return cells.ago(order.device.last_seen_at, timezone.now())

    @admin.display(description=gettext_lazy("attempts"))
    def attempts(self, order: WorkOrder) -> str:
        return cells.count(order.target.attempts_made)

    @admin.display(description=gettext_lazy("may heal itself"))
    def heals(self, order: WorkOrder) -> str | SafeString:
        return chance_text(order.chance) or cells.NOTHING  # type: ignore[attr-defined]  # set in get_changelist_instance

    @admin.display(description=gettext_lazy("team"))
    def team_name(self, order: WorkOrder) -> SafeString:
        if order.team is None:
            return cells.NOTHING
        team = named.from_row(order.team, order)
        return format_html("{}, {}", team, cells.name(order.assigned_to.get_username())) if order.assigned_to else team

    @admin.display(description=gettext_lazy("state"))
    def state_word(self, order: WorkOrder) -> SafeString:
        if order.closed_at is None:
            late = order.due_at < timezone.now()
            return cells.state("late" if late else "attention", _("open, overdue") if late else _("open"))
        return cells.state(_TONES[Outcome(order.outcome)], order.get_outcome_display())

    @admin.display(description=gettext_lazy("device since"))
    def since(self, order: Any) -> SafeString:
        """What the device did, whatever somebody said of it."""
        if order.renewed_at is not None:
            text = _("renewed %(when)s") % {"when": cells.distance(order.renewed_at, timezone.now())}
            return cells.state("good", text)
        return cells.state("attention", _("certificate fetched, not used")) if order.fetched_at else cells.NOTHING

    @admin.display(description=gettext_lazy("order"))
    def page_link(self, order: WorkOrder) -> SafeString:
        return cells.link(links.page("renewal_workorder", order.pk), _("page"))

    # --- The page ---------------------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        order: Any = self.get_object(request, object_id)
        page = self.page(order) if order else {}
        return super().change_view(request, object_id, form_url, {**page, **(extra_context or {})})

    def page(self, order: Any) -> dict[str, Any]:
        now = timezone.now()
        return {
            "now": now,
            "order": order,
            "state": self.state_word(order),
            "since": self.since(order),
            "waits": order.go_from > now,
            "chance": chance_text(healing.chances([order], now).get(order.pk)),
            "note": note_of(order),
            "ticket": getattr(order, "ticket", None),
            "phone_url": reverse("field:order", args=[order.pk]),
        }

    # --- Files ------------------------------------------------------------------------------------------------------

    def _exports(self, request: HttpRequest) -> list[ExportLink]:
        query = request.GET.copy()
        query.pop(CURSOR, None)
        address = f"?{query.urlencode()}" if query else ""
        own = [
            ExportLink(reverse("admin:renewal_workorder_export", args=[kind.value]) + address, str(kind.label))
            for kind in FileKind
        ]
        return [*super()._exports(request), *own]

    def export_view(self, request: HttpRequest, kind: str) -> Any:
        if kind not in FileKind.values:
            return super().export_view(request, kind)
        if not self.has_view_permission(request):
            raise PermissionDenied
        made = files.file_of(
            self._chosen(request),
            FileKind(kind),
            question=request.GET.urlencode(),
            address_of=page_of,
            now=timezone.now(),
            actor=actor_of(request),
        )
        if isinstance(made, Refused):
            return HttpResponse(str(made.text), status=409, content_type="text/plain; charset=utf-8")
        return download(made)

    def _chosen(self, request: HttpRequest) -> WorkOrderQuerySet:
        """Return what the list at this address holds. Raises Http404 where it chooses by something unknown."""
        listed: Any = self.all_rows(request)
        orders: WorkOrderQuerySet = listed
        return orders

    # --- Assigning --------------------------------------------------------------------------------------------------

    def assign(self, request: HttpRequest) -> HttpResponse:
        """Show what the address' filters choose and what assigning does; do it on POST."""
        if not request.user.has_perm(_ASSIGN):
            raise PermissionDenied(_ASSIGN)
        now = timezone.now()
        chosen = self._chosen(request).open()
        ids = list(chosen.order_by("due_at", "pk").values_list("pk", flat=True)[: _MOST_ASSIGNED + 1])
        form = AssignForm(request.POST or None, fleets=fleets_of(request.user))
        too_many = len(ids) > _MOST_ASSIGNED
        if request.method == "POST" and form.is_valid() and not too_many:
            said = form.cleaned_data
            done = assigning.assign(ids, said["team"], said["person"], now=now, actor=actor_of(request))
            if not isinstance(done, Refused):
                text = ngettext("%(count)s order assigned.", "%(count)s orders assigned.", done)
                messages.success(request, text % {"count": cells.count(done)})
                return HttpResponseRedirect(links.changelist("renewal_workorder", team=said["team"].pk))
            form.add_error(done.field or None, str(done.text))
        taken = chosen.exclude(team=None).count()
        context = {
            **self.admin_site.each_context(request),
            "title": _("Assign work orders"),
            "opts": self.opts,
            "now": now,
            "form": form,
            "count": len(ids),
            "taken": taken,
            "too_many": too_many,
            "most": _MOST_ASSIGNED,
            "sample": chosen.order_by("due_at", "pk")[:_SAMPLE],
        }
        return TemplateResponse(request, "admin/renewal/assign.html", context)


class TeamAdmin(AuditedAdmin):
    empty_state = gettext_lazy("No team yet. A team visits the devices of one fleet; work orders are assigned to it.")
    list_display = ["title", "fleet_name", "people", "orders"]
    list_select_related = ["fleet"]
    list_filter = [FleetFilter]
    search_fields = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        return super().get_queryset(request).prefetch_related("members")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Its orders are of that fleet.
        return ("fleet",) if obj else ()

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def title(self, team: Team) -> SafeString:
        return cells.name(team.name)

    @admin.display(description=gettext_lazy("fleet"))
    def fleet_name(self, team: Team) -> SafeString:
        return named.from_row(team.fleet, team)

    @admin.display(description=gettext_lazy("members"))
    def people(self, team: Team) -> SafeString:
        return cells.name(", ".join(person.get_username() for person in team.members.all()))

    @admin.display(description=gettext_lazy("work orders"))
    def orders(self, team: Team) -> SafeString:
        return cells.link(links.changelist("renewal_workorder", team=team.pk), _("work orders"))


class DeviceNoteAdmin(AuditedAdmin):
    empty_state = gettext_lazy("Nothing noted yet. Model, battery and SIM of a device, and whether messages reach it.")
    list_display = ["serial", "model", "battery", "sim", "zone", "successor"]
    list_select_related = ["device"]
    raw_id_fields = ["device"]
    search_fields = ["device__serial__startswith"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # What replaced it is said by who closes its order.
        return ("device", "replaced_by") if obj else ("replaced_by",)

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        return [F("device").desc()]

    @admin.display(description=gettext_lazy("device"))
    def serial(self, note: DeviceNote) -> str:
        return note.device.serial

    @admin.display(description=gettext_lazy("no coverage since"))
    def zone(self, note: DeviceNote) -> SafeString:
        return cells.when(note.dead_zone_since, timezone.now())

    @admin.display(description=gettext_lazy("replaced by"))
    def successor(self, note: DeviceNote) -> str | SafeString:
        return note.replaced_by or cells.NOTHING
