"""Devices over the API."""

from rest_framework import serializers

from inventory.api.exports import ExportMixin
from inventory.api.references import ID, NameOf, SlugOf
from inventory.api.views import ReadViewSet
from inventory.exporting import DEVICES
from inventory.filters import DeviceFilter
from inventory.models import Device


class DeviceSerializer(serializers.ModelSerializer[Device]):
    fleet = SlugOf()
    batch = NameOf(allow_null=True)
    site = NameOf(allow_null=True)

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


class DeviceViewSet(ExportMixin, ReadViewSet[Device]):
    """Devices: what carries a certificate, where it is and how it can be reached."""

    listing = DEVICES
    resource = "devices"
    queryset = Device.objects.select_related("fleet", "batch", "site")
    serializer_class = DeviceSerializer
    filterset_class = DeviceFilter
    orderings = ("-id", "id", "serial", "-serial")
    lookup_value_regex = ID
