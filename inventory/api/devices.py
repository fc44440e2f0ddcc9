"""Devices over the API: read, registered and changed, one or many at a time."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.exports import ExportMixin
from inventory.api.rest import bulk_rows
from inventory.api.rest.actors import actor_of
from inventory.api.rest.etags import PreconditionFailed, condition, matches, tag
from inventory.api.rest.fields import Degrees, DeviceSerial, MqttId, PhoneNumber, RowId, StrictSerializer, Text
from inventory.api.rest.parameters import ETAG, IDEMPOTENCY_KEY, IF_MATCH
from inventory.api.rest.read_views import ReadViewSet
from inventory.api.rest.references import ID, NameOf, SlugOf
from inventory.devices import registration
from inventory.devices.bulk_results import Result
from inventory.lists.exports import DEVICES
from inventory.lists.filters import DeviceFilter
from inventory.models import Connectivity, Device, DeviceStatus, fleets_of


class DeviceSerializer(serializers.ModelSerializer[Device]):
    fleet = SlugOf()
    batch = NameOf(allow_null=True)
    site = NameOf(allow_null=True)
    last_seen_at = serializers.DateTimeField(
        source="presence.last_seen_at", allow_null=True, read_only=True, label=_("Last seen")
    )

    class Meta:
        model = Device
        fields = [
            "id",
            "fleet",
            "serial",
            "batch",
            "site",
            "latitude",
            "longitude",
            "mqtt_id",
            "phone_number",
            "connectivity",
            "status",
            "last_seen_at",
            "registered_at",
        ]
        read_only_fields = fields


class _DeviceValuesSerializer(StrictSerializer):
    """What can be said of a device when it is registered and changed later."""

    batch = Text(max_length=100, allow_null=True, required=False, help_text="Name of a batch of its fleet")
    site = Text(max_length=100, allow_null=True, required=False, help_text="Name of a site of its fleet")
    latitude = Degrees(90, allow_null=True, required=False)
    longitude = Degrees(180, allow_null=True, required=False)
    mqtt_id = MqttId(required=False)
    phone_number = PhoneNumber(required=False)
    connectivity = serializers.ChoiceField(Connectivity.choices, required=False)
    status = serializers.ChoiceField(DeviceStatus.choices, required=False)


class DeviceRegistrationSerializer(_DeviceValuesSerializer):
    fleet = Text(max_length=50, help_text="Label of its fleet")
    serial = DeviceSerial(help_text="Letters, digits, '.', '_' and '-', a letter or digit first")


class DeviceChangeSerializer(_DeviceValuesSerializer):
    """What is to become of a device; what is left out stays."""


class DeviceChangeInListSerializer(_DeviceValuesSerializer):
    """The same of one of many devices, named by `id` or by `fleet` and `serial`."""

    id = RowId(required=False)
    fleet = Text(max_length=50, required=False, help_text="Label of its fleet")
    serial = DeviceSerial(required=False)
    etag = Text(max_length=200, required=False, help_text="Refused unless the device is still as this ETag says")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.keys() & {"id", "fleet", "serial"} not in ({"id"}, {"fleet", "serial"}):
            raise serializers.ValidationError({"id": ["Name the device by id, or by fleet and serial."]})
        return attrs


class DeviceViewSet(ExportMixin, ReadViewSet[Device]):
    """Devices: what carries a certificate, where it is and how it can be reached."""

    listing = DEVICES
    resource = "devices"
    queryset = Device.objects.select_related("fleet", "batch", "site", "presence")
    serializer_class = DeviceSerializer
    filterset_class = DeviceFilter
    orderings = ("-id", "id", "serial", "-serial")
    lookup_value_regex = ID

    @extend_schema(
        request=bulk_rows.one_or_many("DeviceRegistrations", DeviceRegistrationSerializer),
        responses={200: bulk_rows.RowResultsSerializer, 201: DeviceSerializer},
        parameters=[IDEMPOTENCY_KEY, ETAG],
        filters=False,
    )
    def create(self, request: Request) -> Response:
        """Register a device, or up to 1000 in a list: then each has its result, and one refused keeps no other back."""
        reader = DeviceRegistrationSerializer()
        if not isinstance(request.data, list):
            one = _registration(reader.run_validation(request.data))
            result = registration.register({0: one}, timezone.now(), actor_of(request), fleets_of(request.user))[0]
            return self._one(result, status.HTTP_201_CREATED)
        good, bad = bulk_rows.parsed(reader, bulk_rows.items(request.data))
        wanted = {place: _registration(row) for place, row in good.items()}
        done = registration.register(wanted, timezone.now(), actor_of(request), fleets_of(request.user))
        return Response(bulk_rows.answer(done, bad, self.get_serializer()))

    @extend_schema(
        request=DeviceChangeSerializer,
        responses=DeviceSerializer,
        parameters=[IF_MATCH, ETAG],
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a device; what is left out stays. Its fleet and its serial stand in certificates and do not change."""
        device = self.get_object()
        wanted = condition(request)
        values = DeviceChangeSerializer().run_validation(request.data)
        change = registration.Change(values, id=device.pk, stale=lambda now: not matches(wanted, self._tag(now)))
        result = registration.change({0: change}, timezone.now(), actor_of(request), fleets_of(request.user))[0]
        if result.field == "etag":
            raise PreconditionFailed
        return self._one(result, status.HTTP_200_OK)

    @extend_schema(
        operation_id="devices_partial_update_many",
        request=DeviceChangeInListSerializer(many=True),
        responses=bulk_rows.RowResultsSerializer,
        filters=False,
        parameters=[],
    )
    def partial_update_many(self, request: Request) -> Response:
        """Change up to 1000 devices. Each has its result, and one that is refused keeps no other from being changed."""
        good, bad = bulk_rows.parsed(DeviceChangeInListSerializer(), bulk_rows.items(request.data))
        wanted = {place: self._change(row) for place, row in good.items()}
        done = registration.change(wanted, timezone.now(), actor_of(request), fleets_of(request.user))
        return Response(bulk_rows.answer(done, bad, self.get_serializer()))

    def _change(self, row: dict[str, Any]) -> registration.Change:
        name = {field: row.pop(field) for field in ("id", "fleet", "serial") if field in row}
        etag = row.pop("etag", None)
        if etag is None:
            return registration.Change(row, **name)
        return registration.Change(row, **name, stale=lambda device: not matches(etag, self._tag(device)))

    def _tag(self, device: Device) -> str:
        return tag(self.get_serializer(device).data)

    def _one(self, result: Result[Device], code: int) -> Response:
        if result.object is None:
            raise ValidationError({result.field: [result.reason]})
        shown = self.get_serializer(result.object).data
        headers = {"ETag": tag(shown)}
        if code == status.HTTP_201_CREATED:
            headers["Location"] = f"{self.request.path}{result.object.pk}/"
        return Response(shown, code, headers=headers)


def _registration(row: dict[str, Any]) -> registration.Registration:
    return registration.Registration(row.pop("fleet"), row.pop("serial"), row)
