"""Proposals over the API: what waits for a second person, decided on or taken back. Each is made where its act is."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.rest.actors import actor_of
from inventory.api.rest.etags import condition, tag
from inventory.api.rest.fields import Flag, StrictSerializer, Text
from inventory.api.rest.parameters import ETAG, IDEMPOTENCY_KEY, IF_MATCH
from inventory.api.rest.references import ID, HexField
from inventory.api.rest.write_views import SeenViewSet
from inventory.approvals import deciding
from inventory.approvals.deciding import Refused, Why
from inventory.lists.filters import after, before
from inventory.models import Proposal, ProposalKind, ProposalState


class ProposalFilter(filters.FilterSet):
    state = filters.ChoiceFilter(choices=ProposalState.choices)
    kind = filters.ChoiceFilter(choices=ProposalKind.choices)
    proposed_after = after("proposed_at", "Proposed")
    proposed_before = before("proposed_at", "Proposed")

    class Meta:
        model = Proposal
        fields: list[str] = []


class ProposalSerializer(serializers.ModelSerializer[Proposal]):
    payload = serializers.SerializerMethodField(help_text="All that the act will be told")
    sha256 = HexField(help_text="SHA-256 of the proposal, which its audit event carries too")
    proposer = serializers.CharField(source="proposer.username", read_only=True)
    decider = serializers.SerializerMethodField(help_text="Empty while it waits, and when nobody decided on it")

    class Meta:
        model = Proposal
        fields = [
            "id",
            "kind",
            "title",
            "payload",
            "sha256",
            "reason",
            "proposer",
            "proposed_at",
            "expires_at",
            "state",
            "decider",
            "ended_at",
            "note",
        ]
        read_only_fields = fields

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_payload(self, proposal: Proposal) -> dict[str, Any]:
        return proposal.content

    def get_decider(self, proposal: Proposal) -> str:
        return proposal.decider.get_username() if proposal.decider else ""


class ApprovalSerializer(StrictSerializer):
    approves = Flag(help_text="true carries the proposal out, false sends it back")
    note = Text(max_length=1000, required=False, allow_blank=True, default="")


class WithdrawalSerializer(StrictSerializer):
    note = Text(max_length=1000, required=False, allow_blank=True, default="")


class ProposalRefused(APIException):
    """The proposal cannot be decided on any more, or not by who asked."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "proposal_refused"


class ApprovalViewSet(SeenViewSet[Proposal]):
    """Proposals: acts that are done only when a second person agrees."""

    resource = "approvals"
    queryset = Proposal.objects.select_related("proposer", "decider")
    serializer_class = ProposalSerializer
    filterset_class = ProposalFilter
    orderings = ("-proposed_at", "proposed_at")
    lookup_value_regex = ID
    # Whether one may decide depends on the kind, which is asked when the proposal is at hand.
    permissions_of_acts = {"decide": ["inventory.view_proposal"], "withdraw": ["inventory.view_proposal"]}

    @extend_schema(
        request=ApprovalSerializer, responses=ProposalSerializer, parameters=[IF_MATCH, IDEMPOTENCY_KEY, ETAG]
    )
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, pk: str) -> Response:
        """Carry out what somebody else proposed and you have read, or send it back."""
        wanted = condition(request)
        given = ApprovalSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        with transaction.atomic():
            proposal = self.get_locked(wanted)
            done = deciding.decide(proposal.pk, **given.validated_data, now=timezone.now(), actor=actor_of(request))
            return self._shown(done)

    @extend_schema(
        request=WithdrawalSerializer, responses=ProposalSerializer, parameters=[IF_MATCH, IDEMPOTENCY_KEY, ETAG]
    )
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str) -> Response:
        """Take back a proposal of your own."""
        wanted = condition(request)
        given = WithdrawalSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        with transaction.atomic():
            proposal = self.get_locked(wanted)
            done = deciding.withdraw(proposal.pk, **given.validated_data, now=timezone.now(), actor=actor_of(request))
            return self._shown(done)

    def _shown(self, done: Proposal | Refused) -> Response:
        if isinstance(done, Refused):
            if done.why in {Why.NO_ACCOUNT, Why.NOT_PERMITTED}:
                raise PermissionDenied(str(done.text))
            raise ProposalRefused(str(done.text))
        shown = self.get_serializer(self.get_queryset().get(pk=done.pk)).data
        return Response(shown, status.HTTP_200_OK, headers={"ETag": tag(shown)})
