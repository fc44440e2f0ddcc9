"""Cases over the API: opened for a revoked device by one person, decided on by another."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.rest.actors import actor_of
from inventory.api.rest.etags import condition, tag
from inventory.api.rest.fields import Flag, RowId, StrictSerializer, Text
from inventory.api.rest.parameters import ETAG, IDEMPOTENCY_KEY, IF_MATCH
from inventory.api.rest.references import ID, CertificateReferenceSerializer, DeviceReferenceSerializer
from inventory.api.rest.write_views import SeenViewSet
from inventory.approvals.deciding import Refused
from inventory.devices import cases
from inventory.lists.filters import SlugFilter, after, before
from inventory.models import Case, Device, Fleet, fleets_of
from inventory.models.case import CaseOutcome, Verdict

_WAITING = "waiting"


class CaseFilter(filters.FilterSet):
    state = filters.ChoiceFilter(
        choices=[(_WAITING, _WAITING), *CaseOutcome.choices],
        method="filter_state",
        help_text="'waiting' for a second person, or what he or she made of the proposal",
    )
    fleet = SlugFilter(field_name="device__fleet", queryset=Fleet.objects.all(), help_text="Slug of the device's fleet")
    device = filters.CharFilter(field_name="device__serial", help_text="Serial number of the device, exactly")
    opened_after = after("opened_at", "Opened")
    opened_before = before("opened_at", "Opened")

    class Meta:
        model = Case
        fields: list[str] = []

    def filter_state(self, found: Any, name: str, value: str) -> Any:
        return found.waiting() if value == _WAITING else found.filter(outcome=value)


class CaseSerializer(serializers.ModelSerializer[Case]):
    device = DeviceReferenceSerializer(read_only=True)
    certificate = CertificateReferenceSerializer(read_only=True, help_text="Whose revocation it is about")
    finding = serializers.CharField(source="approval.reason", read_only=True)
    opened_by = serializers.CharField(source="approval.proposer.username", read_only=True)
    closed_by = serializers.SerializerMethodField(help_text="Empty while it waits, and when nobody decided on it")
    note = serializers.CharField(source="approval.note", read_only=True)
    outcome = serializers.ChoiceField(
        CaseOutcome.choices, read_only=True, allow_blank=True, help_text="Empty while it waits for a second person"
    )

    class Meta:
        model = Case
        fields = [
            "id",
            "device",
            "certificate",
            "finding",
            "proposal",
            "approval",
            "opened_at",
            "opened_by",
            "outcome",
            "note",
            "closed_at",
            "closed_by",
        ]
        read_only_fields = fields

    def get_closed_by(self, case: Case) -> str:
        return case.approval.decider.get_username() if case.approval.decider else ""


class NewCaseSerializer(StrictSerializer):
    device = RowId(help_text="Id of the device")
    finding = Text(max_length=1000, help_text="Why it was revoked, where the device is, who holds its key")
    proposal = serializers.ChoiceField(Verdict.choices)


class DecisionSerializer(StrictSerializer):
    agrees = Flag(help_text="true makes the proposal the outcome, false sends the case back")
    note = Text(max_length=1000, required=False, allow_blank=True, default="")


class CaseRefused(APIException):
    """What was asked for does not fit the device or the case, or who asked may not be the one."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "case_refused"


class CaseViewSet(SeenViewSet[Case]):
    """Cases: a revoked device gets no certificate before one person has looked into it and another has agreed."""

    resource = "cases"
    queryset = Case.objects.select_related(
        "device__fleet", "certificate", "approval__proposer", "approval__decider"
    ).defer("certificate__der")
    serializer_class = CaseSerializer
    filterset_class = CaseFilter
    orderings = ("-opened_at", "opened_at")
    lookup_value_regex = ID
    permissions_of_acts = {"decide": ["inventory.decide_case"]}

    @extend_schema(
        request=NewCaseSerializer, responses={201: CaseSerializer}, parameters=[IDEMPOTENCY_KEY, ETAG], filters=False
    )
    def create(self, request: Request) -> Response:
        """Open the case of a device whose last certificate was revoked."""
        given = NewCaseSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        said = given.validated_data
        device = Device.objects.of_fleets(fleets_of(request.user)).filter(pk=said["device"]).first()
        if device is None:
            raise ValidationError({"device": ["There is no device with this id."]})
        opened = cases.open_case(
            device,
            finding=said["finding"],
            proposal=Verdict(said["proposal"]),
            now=timezone.now(),
            actor=actor_of(request),
        )
        answer = self._shown(opened, status.HTTP_201_CREATED)
        answer["Location"] = self.reverse_action("detail", args=[answer.data["id"]])
        return answer

    @extend_schema(request=DecisionSerializer, responses=CaseSerializer, parameters=[IF_MATCH, IDEMPOTENCY_KEY, ETAG])
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, pk: str) -> Response:
        """Close a case that somebody else opened and you have read: its proposal is the outcome, or it is sent back."""
        wanted = condition(request)
        given = DecisionSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        with transaction.atomic():
            case = self.get_locked(wanted)
            closed = cases.close_case(case.pk, **given.validated_data, now=timezone.now(), actor=actor_of(request))
        return self._shown(closed, status.HTTP_200_OK)

    def _shown(self, done: Case | Refused, code: int) -> Response:
        if isinstance(done, Refused):
            raise CaseRefused(str(done.text))
        shown = self.get_serializer(self.get_queryset().get(pk=done.pk)).data
        return Response(shown, code, headers={"ETag": tag(shown)})
