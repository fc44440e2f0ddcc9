"""Proposals: what waits for a second person, and what became of the others."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.admin import cells, links, named
from inventory.admin.audited import ReadOnlyAdmin, actor_of
from inventory.admin.listing import ListAdmin
from inventory.approvals import deciding, kinds
from inventory.approvals.deciding import Refused
from inventory.lists.exports import PROPOSALS
from inventory.models import Proposal, ProposalState

_TONES = {
    ProposalState.WAITING: "attention",
    ProposalState.APPROVED: "good",
    ProposalState.REJECTED: "stopped",
}


class NoteForm(forms.Form):
    note = forms.CharField(
        label=gettext_lazy("Note"), required=False, max_length=1000, widget=forms.Textarea(attrs={"rows": 2})
    )


class ProposalAdmin(ListAdmin, ReadOnlyAdmin):
    empty_state = gettext_lazy("No proposal yet. What needs a second person is proposed where it is done.")
    listing = PROPOSALS
    list_order = "-proposed_at"
    change_form_template = "admin/inventory/proposal.html"
    list_display = ["name", "state_word", "kind", "by", "proposed", "expires", "decided_by"]
    list_display_links = ["name"]
    list_filter = ["state", "kind"]
    list_select_related = ["proposer", "decider"]

    def get_urls(self) -> list[URLPattern]:
        decide = self.admin_site.admin_view(self.decide)
        return [path("<int:pk>/decide/", decide, name="inventory_proposal_decide"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("proposer", "decider")

    @admin.display(description=gettext_lazy("proposal"))
    def name(self, proposal: Proposal) -> SafeString:
        return cells.name(proposal.title)

    @admin.display(description=gettext_lazy("state"))
    def state_word(self, proposal: Proposal) -> SafeString:
        return cells.state(_TONES.get(ProposalState(proposal.state), "neutral"), proposal.get_state_display())

    @admin.display(description=gettext_lazy("proposed by"))
    def by(self, proposal: Proposal) -> SafeString:
        return named.from_row(proposal.proposer, proposal)

    @admin.display(description=gettext_lazy("proposed"), ordering="proposed_at")
    def proposed(self, proposal: Proposal) -> SafeString:
        return cells.when(proposal.proposed_at, timezone.now())

    @admin.display(description=gettext_lazy("expires"))
    def expires(self, proposal: Proposal) -> SafeString:
        return cells.when(proposal.expires_at, timezone.now())

    @admin.display(description=gettext_lazy("decided by"))
    def decided_by(self, proposal: Proposal) -> SafeString:
        return named.from_row(proposal.decider, proposal)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        proposal = self.get_object(request, object_id)
        page: dict[str, Any] = {}
        if proposal is not None and self.has_view_permission(request, proposal):
            assert request.user.is_authenticated  # `admin_view` lets nobody else in
            now = timezone.now()
            waits = proposal.state == ProposalState.WAITING and proposal.expires_at > now
            own = proposal.proposer.person_id == request.user.person_id
            page = {
                "proposal": proposal,
                "payload": json.dumps(proposal.content, indent=2, sort_keys=True, ensure_ascii=False),
                "sha256": bytes(proposal.sha256).hex(),
                "now": now,
                "state": self.state_word(proposal),
                "form": NoteForm(),
                "altered": not proposal.is_as_proposed,
                "may_decide": waits and not own and request.user.has_perm(kinds.rules_of(proposal.kind).may_decide),
                "own": waits and own,
            }
        return super().change_view(request, object_id, form_url, {**page, **(extra_context or {})})

    def decide(self, request: HttpRequest, pk: int) -> HttpResponse:
        """End a proposal as its page offers it: `approve`, `reject` or `withdraw`."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not Proposal.objects.visible_to(request.user).filter(pk=pk).exists():
            raise Http404
        form = NoteForm(request.POST)
        asked = [act for act in ("approve", "reject", "withdraw") if act in request.POST]
        if request.method == "POST" and form.is_valid() and len(asked) == 1:
            done = self._done(pk, asked[0], form.cleaned_data["note"], request)
            if isinstance(done, Refused):
                messages.error(request, str(done.text))
            else:
                messages.success(request, _("The proposal has ended: %(state)s.") % {"state": done.get_state_display()})
        return HttpResponseRedirect(links.page("inventory_proposal", pk))

    def _done(self, pk: int, act: str, note: str, request: HttpRequest) -> Proposal | Refused:
        now, actor = timezone.now(), actor_of(request)
        if act == "withdraw":
            return deciding.withdraw(pk, note=note, now=now, actor=actor)
        return deciding.decide(pk, approves=act == "approve", note=note, now=now, actor=actor)
