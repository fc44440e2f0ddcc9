"""Devices over the API: read, registered and changed, one by one or by the thousand."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from inventory import registering
from inventory.api import ID, SLUG, DeviceSerializer, ExportMixin
from inventory.audit.record import Actor
from inventory.etags import etag, require_match
from inventory.exporting import DEVICES
from inventory.filters import DeviceFilter
from inventory.models import Connectivity, Device, DeviceStatus
from inventory.models.audit import ActorKind
from inventory.models.device import MQTT_ID, PHONE_NUMBER, SERIAL, SHORTEST_PHONE_NUMBER
from inventory.registering import MOST_ROWS, Outcome, Result

_GROUP_NAME: dict[str, Any] = {"max_length": 100, "allow_null": True, "required": False}
_LARGEST_ID = (1 << 63) - 1


def _whole(pattern: str) -> re.Pattern[str]:
    """Return a rule of the database as Python reads it, whose `$` would let a line break through."""
    return re.compile(pattern.removesuffix("$") + r"\Z")


class DeviceChangeSerializer(serializers.Serializer[Any]):
    """What may be changed of a device. What is left out stays."""

    batch = serializers.CharField(**_GROUP_NAME, help_text="Name of a batch of the device's fleet; null: none")
    site = serializers.CharField(**_GROUP_NAME, help_text="Name of a site of the device's fleet; null: none")
    latitude = serializers.DecimalField(8, 6, min_value=-90, max_value=90, allow_null=True, required=False)
    longitude = serializers.DecimalField(9, 6, min_value=-180, max_value=180, allow_null=True, required=False)
    mqtt_id = serializers.RegexField(
        _whole(MQTT_ID), max_length=128, trim_whitespace=False, allow_blank=True, required=False,
        help_text="MQTT client id; unique in the fleet",
    )  # fmt: skip
    phone_number = serializers.RegexField(
        _whole(PHONE_NUMBER), min_length=SHORTEST_PHONE_NUMBER, max_length=16, trim_whitespace=False,
        allow_blank=True, required=False, help_text="E.164, for example +60123456789",
    )  # fmt: skip
    connectivity = serializers.ChoiceField(Connectivity.choices, required=False)
    status = serializers.ChoiceField(DeviceStatus.choices, required=False)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (unknown := sorted(str(name) for name in data.keys() - self.fields.keys())):
            raise ValidationError(
                {name[:100]: [f"No field of a row. Fields are {', '.join(self.fields)}."] for name in unknown[:5]}
            )
        return super().to_internal_value(data)


class DeviceRowSerializer(DeviceChangeSerializer):
    """A device to be registered."""

    fleet = serializers.RegexField(f"^{SLUG}$", max_length=50, help_text="Slug of its fleet")
    serial = serializers.RegexField(
        _whole(SERIAL),
        max_length=64,
        trim_whitespace=False,
        help_text="Serial number, unique in the fleet; it never changes",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs.get("latitude") is None) != (attrs.get("longitude") is None):
            raise ValidationError({"longitude": ["Latitude and longitude are given together, or neither."]})
        return attrs


class DeviceChangeRowSerializer(DeviceChangeSerializer):
    """A change of one device among many."""

    id = serializers.IntegerField(min_value=1, max_value=_LARGEST_ID)
    etag = serializers.CharField(
        max_length=100, required=False, help_text="The ETag under which it was read: it is changed only if still so"
    )


class DeviceRowsSerializer(serializers.Serializer[Any]):
    devices = DeviceRowSerializer(many=True, help_text=f"1 to {MOST_ROWS} devices")


class DeviceChangesSerializer(serializers.Serializer[Any]):
    devices = DeviceChangeRowSerializer(many=True, help_text=f"1 to {MOST_ROWS} changes")


class RowResultSerializer(serializers.Serializer[Any]):
    outcome = serializers.ChoiceField(Outcome.choices)
    id = serializers.IntegerField(required=False, help_text="Of the device, unless the row was refused")
    reasons = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()), required=False, help_text="Why, by field"
    )


class RowsAnswerSerializer(serializers.Serializer[Any]):
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="How many rows had each outcome")
    results = RowResultSerializer(many=True, help_text="What became of each row, in their order")


_IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key and body within a day: the same answer, and nothing is done again.",
)
_IF_MATCH = OpenApiParameter(
    "If-Match", OpenApiTypes.STR, OpenApiParameter.HEADER, required=True, description="The ETag of the device as read"
)


class DeviceViewSet(ExportMixin, ReadOnlyModelViewSet[Device]):
    """Devices: what carries a certificate, where it is and how it can be reached."""

    listing = DEVICES
    resource = "devices"
    queryset = Device.objects.select_related("fleet", "batch", "site")
    serializer_class = DeviceSerializer
    filterset_class = DeviceFilter
    orderings = ("-id", "id", "serial", "-serial")
    lookup_value_regex = ID

    @extend_schema(
        request=DeviceRowsSerializer,
        responses={200: RowsAnswerSerializer},
        filters=False,
        parameters=[_IDEMPOTENCY_KEY],
    )
    def create(self, request: Request) -> Response:
        """Register devices. A row that is refused says why, and keeps no other from landing."""

        def register(rows: list[dict[str, Any]]) -> list[Result]:
            return registering.register(rows, timezone.now(), _actor(request))

        return _answer(_each(request, DeviceRowSerializer, register))

    @extend_schema(
        operation_id="devices_partial_update_many",
        request=DeviceChangesSerializer,
        responses=RowsAnswerSerializer,
        filters=False,
    )
    def partial_update_many(self, request: Request) -> Response:
        """Change many devices. A row that is refused says why, and keeps no other from landing."""

        def change(rows: list[dict[str, Any]]) -> list[Result]:
            seen = {row["id"]: row.pop("etag") for row in rows if "etag" in row}
            changes = [(row.pop("id"), row) for row in rows]
            return registering.change(changes, timezone.now(), _actor(request), seen=seen, tag=_tag)

        return _answer(_each(request, DeviceChangeRowSerializer, change))

    @extend_schema(request=DeviceChangeSerializer, responses=DeviceSerializer, parameters=[_IF_MATCH])
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change one device, if it still is what was read."""
        device = self.get_object()
        require_match(request, _tag(device))
        given = DeviceChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        seen = {device.pk: _tag(device)}
        [result] = registering.change(
            [(device.pk, given.validated_data)], timezone.now(), _actor(request), seen=seen, tag=_tag
        )
        if result.outcome == Outcome.REFUSED:
            raise ValidationError(result.errors)
        shown = self.get_serializer(self.get_object()).data
        return Response(shown, headers={"ETag": etag(shown)})


def _actor(request: Request) -> Actor:
    return Actor(ActorKind.USER, request.user.get_username(), request.META.get("REMOTE_ADDR") or None)


def _tag(device: Device) -> str:
    return etag(DeviceSerializer(device).data)


def _each(request: Request, kind: type[serializers.Serializer[Any]], act: Any) -> list[Result]:
    """Check each row by itself and act on those that are sound; return what became of each, in their order."""
    body = request.data
    if not isinstance(body, dict) or body.keys() != {"devices"} or not isinstance(body["devices"], list):
        raise ValidationError({"devices": ['Send {"devices": [...]}, a list of objects, and nothing beside it.']})
    if not 1 <= len(body["devices"]) <= MOST_ROWS:
        raise ValidationError({"devices": [f"A request holds 1 to {MOST_ROWS} rows; it has {len(body['devices'])}."]})
    checked = [kind(data=row) for row in body["devices"]]
    done = iter(act([dict(row.validated_data) for row in checked if row.is_valid()]))
    return [next(done) if row.is_valid() else Result(Outcome.REFUSED, errors=row.errors) for row in checked]


def _answer(results: Sequence[Result]) -> Response:
    return Response({"counts": registering.counts(results), "results": [_shown(result) for result in results]})


def _shown(result: Result) -> dict[str, Any]:
    shown: dict[str, Any] = {"outcome": result.outcome.value}
    if result.device is not None:
        shown["id"] = result.device.pk
    if result.errors:
        shown["reasons"] = result.errors
    return shown
