"""Campaigns over the API: read and filter, with their targets; gateways, and the receipts that they push."""

from dataclasses import asdict
from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from inventory.api.exports import ExportMixin
from inventory.api.rest.fields import Named, StrictSerializer, Text
from inventory.api.rest.parameters import IDEMPOTENCY_KEY
from inventory.api.rest.read_views import ListViewSet, ReadViewSet
from inventory.api.rest.references import ID, CertificateReferenceSerializer, DeviceReferenceSerializer, SlugOf
from inventory.models import fleets_of
from renewal.channels import receipts
from renewal.channels.receipts import Receipt
from renewal.exporting import TARGETS
from renewal.filters import CampaignFilter, GatewayFilter, TargetFilter
from renewal.models import Campaign, EarlyReceipt, Gateway, ReceiptResult, Target, TargetState

_MOST_RECEIPTS = 10_000


class TargetCountsSerializer(serializers.Serializer[dict[str, int]]):
    """How many devices of the campaign are in each state."""

    planned = serializers.IntegerField()
    triggered = serializers.IntegerField()
    issued = serializers.IntegerField()
    confirmed = serializers.IntegerField()
    escalated = serializers.IntegerField()
    withdrawn = serializers.IntegerField()


class CampaignSerializer(serializers.ModelSerializer[Campaign]):
    fleet = SlugOf()
    targets = TargetCountsSerializer(source="target_counts", read_only=True)

    class Meta:
        model = Campaign
        fields = [
            "id",
            "name",
            "fleet",
            "state",
            "expires_from",
            "expires_before",
            "due_at",
            "retry_interval",
            "max_attempts",
            "triggers_per_tick",
            "created_at",
            "created_by",
            "started_at",
            "finished_at",
            "ticked_at",
            "targets",
        ]
        read_only_fields = fields


class TargetSerializer(serializers.ModelSerializer[Target]):
    device = DeviceReferenceSerializer(read_only=True)
    certificate = CertificateReferenceSerializer(read_only=True, help_text="The certificate to be replaced")
    renewed_certificate = CertificateReferenceSerializer(
        read_only=True, allow_null=True, help_text="The certificate that replaces it"
    )

    class Meta:
        model = Target
        fields = [
            "id",
            "device",
            "certificate",
            "renewed_certificate",
            "state",
            "attempts_made",
            "next_step_at",
            "triggered_at",
            "issued_at",
            "confirmed_at",
            "escalated_at",
        ]
        read_only_fields = fields


class CampaignViewSet(ReadViewSet[Campaign]):
    """Campaigns: chosen devices, brought to their next certificate before the old one ends."""

    resource = "campaigns"
    queryset = Campaign.objects.select_related("fleet")
    serializer_class = CampaignSerializer
    filterset_class = CampaignFilter
    orderings = ("-id", "id")
    lookup_value_regex = ID

    def paginate_queryset(self, queryset: Any) -> list[Any]:
        return _counted(super().paginate_queryset(queryset) or [])

    def get_object(self) -> Campaign:
        return _counted([super().get_object()])[0]


def _counted(campaigns: list[Any]) -> list[Campaign]:
    """Give each campaign its `target_counts`, in one query for all."""
    counts = Target.objects.filter(campaign__in=campaigns).counts()
    for campaign in campaigns:
        campaign.target_counts = counts.get(campaign.pk, dict.fromkeys(TargetState.values, 0))
    return campaigns


@extend_schema(parameters=[OpenApiParameter("campaign_id", OpenApiTypes.INT, OpenApiParameter.PATH)])
class TargetViewSet(ExportMixin, ListViewSet[Target]):
    """The targets of one campaign: how far each of its devices has come."""

    listing = TARGETS
    resource = "campaigns"
    queryset = Target.objects.select_related("device__fleet", "certificate", "renewed_certificate").defer(
        "certificate__der", "renewed_certificate__der"
    )
    serializer_class = TargetSerializer
    filterset_class = TargetFilter
    # A device is in a campaign once, and (campaign, device) is an index.
    orderings = ("device_id", "-device_id")

    def filter_queryset(self, queryset: Any) -> Any:
        seen = Campaign.objects.of_fleets(fleets_of(self.request.user))
        campaign = get_object_or_404(seen, pk=self.kwargs["campaign_id"])
        return super().filter_queryset(queryset).filter(campaign=campaign)


class GatewaySerializer(serializers.ModelSerializer[Gateway]):
    """Its limits. How its driver is reached, and with what secret, is for the pages of administrators alone."""

    fleet = SlugOf(allow_null=True)

    class Meta:
        model = Gateway
        fields = [
            "id",
            "name",
            "channel",
            "driver",
            "fleet",
            "enabled",
            "sender",
            "text",
            "daily_cap",
            "quiet_from",
            "quiet_to",
            "cost",
        ]
        read_only_fields = fields


class GatewayViewSet(ReadViewSet[Gateway]):
    """Gateways: by whom, and within which limits, messages go to devices."""

    resource = "gateways"
    queryset = Gateway.objects.select_related("fleet")
    serializer_class = GatewaySerializer
    filterset_class = GatewayFilter
    orderings = ("id", "-id")
    lookup_value_regex = ID


class _GatewayByName(Named):
    def get_queryset(self) -> Any:
        """Return the gateways of the caller's fleets. Of one that serves all, only people of all fleets may tell."""
        fleets = fleets_of(self.context["request"].user)
        return Gateway.objects.all() if fleets is None else Gateway.objects.filter(fleet_id__in=fleets)


class ReceiptSerializer(StrictSerializer):
    reference = Text(max_length=100, help_text="The gateway's own id of the message")
    result = serializers.ChoiceField(ReceiptResult.choices)
    at = serializers.DateTimeField(help_text="When, with an offset")
    detail = Text(max_length=200, required=False, allow_blank=True)


class ReceiptReportSerializer(StrictSerializer):
    gateway = _GatewayByName(slug_field="name", queryset=Gateway.objects.all(), help_text="Name of the gateway")
    receipts = serializers.ListField(child=ReceiptSerializer(), allow_empty=False, max_length=_MOST_RECEIPTS)


class ReceiptCountsSerializer(serializers.Serializer[Any]):
    written = serializers.IntegerField(help_text="They said something new")
    known = serializers.IntegerField(help_text="They said what was known, or less")
    unknown = serializers.IntegerField(help_text="No message of this gateway is known by that reference, or not yet")


class ReceiptViewSet(GenericViewSet[EarlyReceipt]):
    """Receipts: what became of messages, told by the gateway that took them."""

    resource = "receipts"
    queryset = EarlyReceipt.objects.none()
    serializer_class = ReceiptReportSerializer
    own_parameters = ()

    @extend_schema(
        request=ReceiptReportSerializer,
        responses={200: ReceiptCountsSerializer},
        filters=False,
        parameters=[IDEMPOTENCY_KEY],
    )
    def create(self, request: Request) -> Response:
        """Tell up to 10,000 receipts. Twice, out of order and of unknown messages they do no harm."""
        said = ReceiptReportSerializer(context=self.get_serializer_context()).run_validation(request.data)
        told = [
            Receipt(each["reference"], each["at"], ReceiptResult(each["result"]), each.get("detail", ""))
            for each in said["receipts"]
        ]
        return Response(asdict(receipts.note(said["gateway"], told, timezone.now())))
