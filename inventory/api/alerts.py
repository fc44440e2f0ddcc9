"""Alerts over the API: read, filter, acknowledge and mute."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.alerts import acknowledgement
from inventory.api.alert_settings import MuteSerializer
from inventory.api.rest.actors import actor_of
from inventory.api.rest.etags import condition, tag
from inventory.api.rest.fields import StrictSerializer, Text
from inventory.api.rest.parameters import ETAG, IDEMPOTENCY_KEY, IF_MATCH
from inventory.api.rest.references import ID, CertificateReferenceSerializer, DeviceReferenceSerializer
from inventory.api.rest.write_views import SeenViewSet
from inventory.lists.filters import SlugFilter, after, before
from inventory.models import Alert, AlertKind, Fleet, Resolution

_LARGEST = 32767


class AlertFilter(filters.FilterSet):
    state = filters.ChoiceFilter(
        choices=[("waiting", "waiting"), ("acknowledged", "acknowledged"), ("open", "open"), ("resolved", "resolved")],
        method="filter_state",
        help_text="'open' are the waiting and the acknowledged, 'resolved' those whose cause has gone",
    )
    kind = filters.ChoiceFilter(choices=AlertKind.choices)
    threshold = filters.NumberFilter(min_value=0, max_value=_LARGEST, decimal_places=0, help_text="Days before the end")
    level = filters.NumberFilter(min_value=1, max_value=_LARGEST, decimal_places=0, help_text="Level it has reached")
    fleet = SlugFilter(
        field_name="certificate__device__fleet", queryset=Fleet.objects.all(), help_text="Slug of the device's fleet"
    )
    device = filters.CharFilter(
        field_name="certificate__device__serial", help_text="Serial number of the device, exactly"
    )
    ends_after = after("ends_at", "Ends")
    ends_before = before("ends_at", "Ends")

    class Meta:
        model = Alert
        fields: list[str] = []

    def filter_state(self, alerts: Any, name: str, value: str) -> Any:
        match value:
            case "waiting":
                return alerts.waiting()
            case "acknowledged":
                return alerts.open().filter(acknowledged_at__isnull=False)
            case "open":
                return alerts.open()
            case _:
                return alerts.filter(resolved_at__isnull=False)


class AlertSerializer(serializers.ModelSerializer[Alert]):
    device = DeviceReferenceSerializer(source="certificate.device", read_only=True, allow_null=True, default=None)
    certificate = CertificateReferenceSerializer(read_only=True, allow_null=True)
    policy = serializers.SlugRelatedField[Any](slug_field="name", read_only=True)
    resolution = serializers.ChoiceField(
        Resolution.choices, read_only=True, allow_blank=True, help_text="Empty while it is open"
    )

    class Meta:
        model = Alert
        fields = [
            "id",
            "kind",
            "about",
            "device",
            "certificate",
            "policy",
            "threshold",
            "ends_at",
            "level",
            "raised_at",
            "notified_at",
            "acknowledged_at",
            "acknowledged_by",
            "note",
            "resolved_at",
            "resolution",
        ]
        read_only_fields = fields


class AcknowledgementSerializer(StrictSerializer):
    note = Text(max_length=500, required=False, allow_blank=True, default="", help_text="What is being done about it")


class NewAlertMuteSerializer(StrictSerializer):
    until = serializers.DateTimeField(help_text="From then on it is told again")
    reason = Text(max_length=500)


class AlertViewSet(SeenViewSet[Alert]):
    """Alerts: certificates that reached a threshold before their end, and what of the portal's own needs somebody."""

    resource = "alerts"
    queryset = Alert.objects.select_related("certificate__device__fleet", "policy").defer("certificate__der")
    serializer_class = AlertSerializer
    filterset_class = AlertFilter
    orderings = ("-id", "id")
    lookup_value_regex = ID
    # Neither makes an alert: the one changes it, the other makes a mute.
    permissions_of_acts = {"acknowledge": ["inventory.change_alert"], "mute": ["inventory.add_mute"]}

    @extend_schema(
        request=AcknowledgementSerializer, responses=AlertSerializer, parameters=[IF_MATCH, IDEMPOTENCY_KEY, ETAG]
    )
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: str) -> Response:
        """Acknowledge an alert that you have read: no more is told until a nearer threshold. Again changes nothing."""
        wanted = condition(request)
        given = AcknowledgementSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        with transaction.atomic():
            alert = self.get_locked(wanted)
            acknowledgement.acknowledge(
                Alert.objects.filter(pk=alert.pk),
                note=given.validated_data["note"],
                now=timezone.now(),
                actor=actor_of(request),
            )
        shown = self.get_serializer(self.get_queryset().get(pk=alert.pk)).data
        return Response(shown, headers={"ETag": tag(shown)})

    @extend_schema(request=NewAlertMuteSerializer, responses={201: MuteSerializer}, parameters=[IDEMPOTENCY_KEY])
    @action(detail=True, methods=["post"])
    def mute(self, request: Request, pk: str) -> Response:
        """Have silence for a while about whatever the alert is about."""
        given = NewAlertMuteSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        alert = self.get_object()
        try:
            made = acknowledgement.mute(alert, **given.validated_data, now=timezone.now(), actor=actor_of(request))
        except ValueError as error:
            raise ValidationError({"until": [str(error)]}) from None
        return Response(MuteSerializer(made).data, status.HTTP_201_CREATED)
