"""Gateways over the API: read and filter; and the receipts that they push."""

from dataclasses import asdict
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from inventory.api.rest.fields import Named, StrictSerializer, Text
from inventory.api.rest.parameters import IDEMPOTENCY_KEY
from inventory.api.rest.read_views import ReadViewSet
from inventory.api.rest.references import ID, SlugOf
from inventory.models import fleets_of
from renewal.channels import receipts
from renewal.channels.receipts import Receipt
from renewal.filters import GatewayFilter
from renewal.models import EarlyReceipt, Gateway, ReceiptResult

_MOST_RECEIPTS = 10_000


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
