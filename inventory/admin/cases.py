"""Cases of revoked devices: opened on the device's page, decided on by a second person on the case's own."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.admin import cells, filters, links, named
from inventory.admin.audited import ReadOnlyAdmin, actor_of
from inventory.admin.listing import ListAdmin
from inventory.approvals.deciding import Refused
from inventory.devices import cases
from inventory.lists.exports import CASES
from inventory.models import Case, CertificateState, Device, fleets_of
from inventory.models.case import CaseOutcome, CaseQuerySet, Verdict

_OPEN, _DECIDE = "inventory.add_case", "inventory.decide_case"


class CaseForm(forms.Form):
    finding = forms.CharField(
        label=gettext_lazy("What was found"),
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=gettext_lazy("Why it was revoked, where the device is, who holds its key. Kept in the audit log."),
    )
    proposal = forms.ChoiceField(
        label=gettext_lazy("Proposal"), choices=[("", gettext_lazy("choose one")), *Verdict.choices]
    )


class DecisionForm(forms.Form):
    note = forms.CharField(
        label=gettext_lazy("Note"), required=False, max_length=1000, widget=forms.Textarea(attrs={"rows": 2})
    )


def open_view(request: HttpRequest, pk: int, site: admin.AdminSite) -> HttpResponse:
    """Show what a case of the device would do; open it on POST."""
    if not request.user.has_perm(_OPEN):
        raise PermissionDenied(_OPEN)
    found = Device.objects.of_fleets(fleets_of(request.user)).select_related("fleet", "site")
    device = found.filter(pk=pk).first()
    certificate = cases.newest(device) if device else None
    if device is None or certificate is None or certificate.state != CertificateState.REVOKED:
        raise Http404
    form = CaseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        opened = cases.open_case(
            device,
            finding=form.cleaned_data["finding"],
            proposal=Verdict(form.cleaned_data["proposal"]),
            now=timezone.now(),
            actor=actor_of(request),
        )
        if isinstance(opened, Refused):
            messages.error(request, str(opened.text))
            return HttpResponseRedirect(links.device(pk))
        messages.success(request, _("The case is open; a second person decides on it."))
        return HttpResponseRedirect(links.page("inventory_case", opened.pk))
    context = {
        **site.each_context(request),
        "title": _("Open a case"),
        "device": device,
        "certificate": certificate,
        "form": form,
        "now": timezone.now(),
    }
    return TemplateResponse(request, "admin/inventory/open_case.html", context)


class WaitingFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        waiting = [
            ("waiting", gettext_lazy("waits for a second person")),
            ("of_others", gettext_lazy("waits, opened by others")),
        ]
        return [*waiting, *CaseOutcome.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        if value is None:
            return None
        cases_listed: CaseQuerySet = queryset  # type: ignore[assignment]  # the admin's queryset is the manager's
        if value == "of_others":
            assert request.user.is_authenticated  # `admin_view` lets nobody else in
            return cases_listed.decidable_by(request.user.person_id)
        return cases_listed.waiting() if value == "waiting" else cases_listed.filter(outcome=value)


class CaseAdmin(ListAdmin, ReadOnlyAdmin):
    empty_state = gettext_lazy("No case yet. A case is opened on the page of a device whose certificate was revoked.")
    listing = CASES
    list_order = "-opened_at"
    change_form_template = "admin/inventory/case.html"
    list_display = ["device_page", "state_word", "proposed", "found", "opener", "opened", "closer", "closed"]
    list_display_links = ["state_word"]
    list_filter = [WaitingFilter, filters.OfDeviceFleetFilter]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return (
            super()
            .get_queryset(request)
            .select_related("device", "certificate", "approval__proposer__owner", "approval__decider")
            .defer("certificate__der")
        )

    def get_urls(self) -> list[URLPattern]:
        decide = self.admin_site.admin_view(self.decide)
        return [path("<int:pk>/decide/", decide, name="inventory_case_decide"), *super().get_urls()]

    @admin.display(description=gettext_lazy("device"))
    def device_page(self, case: Case) -> SafeString:
        return cells.link(links.device(case.device_id), case.device.serial)

    @admin.display(description=gettext_lazy("state"))
    def state_word(self, case: Case) -> SafeString:
        if case.closed_at is None:
            return cells.state("attention", _("waits for a second person"))
        return cells.state("stopped" if case.outcome == CaseOutcome.RETIRED else "neutral", case.get_outcome_display())

    @admin.display(description=gettext_lazy("proposal"))
    def proposed(self, case: Case) -> str:
        return case.get_proposal_display()

    @admin.display(description=gettext_lazy("finding"))
    def found(self, case: Case) -> SafeString:
        finding = case.approval.reason
        return cells.name(finding if len(finding) <= 80 else f"{finding[:79]}…")

    @admin.display(description=gettext_lazy("opened by"))
    def opener(self, case: Case) -> SafeString:
        return named.from_row(case.approval.proposer, case)

    @admin.display(description=gettext_lazy("opened"), ordering="opened_at")
    def opened(self, case: Case) -> SafeString:
        return cells.when(case.opened_at, timezone.now())

    @admin.display(description=gettext_lazy("closed by"))
    def closer(self, case: Case) -> SafeString:
        return named.from_row(case.approval.decider, case)

    @admin.display(description=gettext_lazy("closed"))
    def closed(self, case: Case) -> SafeString:
        return cells.when(case.closed_at, timezone.now())

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        case = self.get_object(request, object_id)
        page: dict[str, Any] = {}
        if case is not None and self.has_view_permission(request, case):
            assert request.user.is_authenticated  # `admin_view` lets nobody else in
            another = case.approval.proposer.person_id != request.user.person_id
            page = {
                "case": case,
                "now": timezone.now(),
                "state": self.state_word(case),
                "decision": DecisionForm(),
                "may_decide": case.closed_at is None and another and request.user.has_perm(_DECIDE),
                "own": case.closed_at is None and not another,
            }
        return super().change_view(request, object_id, form_url, {**page, **(extra_context or {})})

    def decide(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Close a case as its page offers it: `agree` or `dismiss`."""
        if not request.user.has_perm(_DECIDE):
            raise PermissionDenied(_DECIDE)
        if not Case.objects.of_fleets(fleets_of(request.user)).filter(pk=pk).exists():
            raise Http404
        form = DecisionForm(request.POST)
        if request.method == "POST" and form.is_valid() and ("agree" in request.POST) != ("dismiss" in request.POST):
            closed = cases.close_case(
                pk,
                agrees="agree" in request.POST,
                note=form.cleaned_data["note"],
                now=timezone.now(),
                actor=actor_of(request),
            )
            if isinstance(closed, Refused):
                messages.error(request, str(closed.text))
            else:
                text = _("The case is closed: %(outcome)s.")
                messages.success(request, text % {"outcome": closed.get_outcome_display()})
        return HttpResponseRedirect(links.page("inventory_case", pk))
