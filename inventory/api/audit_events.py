"""The audit log over the API."""

from rest_framework import serializers

from inventory.api.exports import ExportMixin
from inventory.api.rest.read_views import ReadViewSet
from inventory.api.rest.references import ID, CertificateReferenceSerializer, DeviceReferenceSerializer
from inventory.lists.exports import AUDIT_EVENTS
from inventory.lists.filters import AuditEventFilter
from inventory.models import AuditEvent


class AuditEventSerializer(serializers.ModelSerializer[AuditEvent]):
    device = DeviceReferenceSerializer(read_only=True, allow_null=True)
    certificate = CertificateReferenceSerializer(read_only=True, allow_null=True)

    class Meta:
        model = AuditEvent
        fields = [
            "id",
            "at",
            "recorded_at",
            "action",
            "actor_kind",
            "actor",
            "source_address",
            "request_id",
            "object_name",
            "device",
            "certificate",
            "details",
        ]
        read_only_fields = fields


class AuditEventViewSet(ExportMixin, ReadViewSet[AuditEvent]):
    """The audit log: who did what to which object, when and why."""

    listing = AUDIT_EVENTS
    resource = "audit-events"
    queryset = AuditEvent.objects.select_related("device__fleet", "certificate").defer("certificate__der")
    serializer_class = AuditEventSerializer
    filterset_class = AuditEventFilter
    orderings = ("-at", "at")
    lookup_value_regex = ID
