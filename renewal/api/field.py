"""The field team's list over the API: work orders, teams, and what is noted on devices."""

from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.exports import ExportMixin, FileRenderer
from inventory.api.rest.actors import actor_of
from inventory.api.rest.etags import condition, tag
from inventory.api.rest.fields import Named, RowId, StrictModelSerializer, StrictSerializer, Text
from inventory.api.rest.parameters import ETAG, IDEMPOTENCY_KEY, IF_MATCH
from inventory.api.rest.references import ID, DeviceReferenceSerializer, NameOf
from inventory.api.rest.write_views import SeenViewSet, WriteViewSet
from inventory.devices.bulk_results import MOST_AT_ONCE
from inventory.formats import device_fields
from inventory.models import Device, Fleet, fleets_of
from renewal import sheets
from renewal.exporting import WORK_ORDERS
from renewal.field import assigning, closing, files, geojson, healing
from renewal.field.addresses import page_of
from renewal.field.downloads import download
from renewal.field.files import FileKind
from renewal.field.refused import Refused
from renewal.filters import DeviceNoteFilter, TeamFilter, WorkOrderFilter
from renewal.models import DeviceNote, Outcome, Team, WorkOrder
from renewal.models.work_order import FINDINGS, LONGEST_NOTE


class ChanceSerializer(serializers.Serializer[Any]):
    """Of `devices` like this one that had been silent as long, `healed` answered by themselves."""

    devices = serializers.IntegerField()
    healed = serializers.IntegerField()
    at_site = serializers.BooleanField(help_text="Counted at its site; else in its fleet")


class WorkOrderSerializer(serializers.ModelSerializer[WorkOrder]):
    device = DeviceReferenceSerializer(read_only=True)
    site = serializers.SlugRelatedField[Any](
        source="device.site", slug_field="name", read_only=True, allow_null=True, default=None
    )
    latitude = serializers.DecimalField(
        source="device.latitude", max_digits=8, decimal_places=6, read_only=True, allow_null=True
    )
    longitude = serializers.DecimalField(
        source="device.longitude", max_digits=9, decimal_places=6, read_only=True, allow_null=True
    )
    last_seen_at = serializers.DateTimeField(source="device.presence.last_seen_at", read_only=True, allow_null=True)
    go_from = serializers.DateTimeField(
        read_only=True, help_text="From when on to visit it: until then it may come back by itself"
    )
    campaign = serializers.IntegerField(source="target.campaign_id", read_only=True, help_text="Id of the campaign")
    attempts_made = serializers.IntegerField(source="target.attempts_made", read_only=True)
    may_heal = ChanceSerializer(
        source="chance", read_only=True, allow_null=True, help_text="null where too little is known"
    )
    team = NameOf(allow_null=True)
    assigned_to = serializers.SlugRelatedField[Any](slug_field="username", read_only=True, allow_null=True)
    outcome = serializers.ChoiceField(
        Outcome.choices, read_only=True, allow_blank=True, help_text="Empty while it is open"
    )
    fetched_at = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="When the device got its next certificate, whatever the outcome"
    )
    renewed_at = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="When the device used it first, whatever the outcome"
    )
    ticket = serializers.SerializerMethodField(help_text="Key of its ticket; empty while it has none")
    url = serializers.SerializerMethodField(help_text="Its page on a phone")

    class Meta:
        model = WorkOrder
        fields = [
            "id",
            "device",
            "site",
            "latitude",
            "longitude",
            "campaign",
            "opened_at",
            "due_at",
            "go_from",
            "last_seen_at",
            "attempts_made",
            "may_heal",
            "team",
            "assigned_to",
            "assigned_at",
            "closed_at",
            "closed_by",
            "outcome",
            "note",
            "replaced_by",
            "fetched_at",
            "renewed_at",
            "ticket",
            "url",
        ]
        read_only_fields = fields

    def get_ticket(self, order: WorkOrder) -> str:
        return order.ticket.key if hasattr(order, "ticket") else ""

    def get_url(self, order: WorkOrder) -> str:
        return page_of(order.pk)


class AssignmentSerializer(StrictSerializer):
    orders = serializers.ListField(
        child=RowId(),
        min_length=1,
        max_length=MOST_AT_ONCE,
        help_text="Ids of work orders; closed ones stay as they are",
    )
    team = RowId(help_text="Id of a team of their fleet")
    assigned_to = Text(
        max_length=150, required=False, allow_null=True, default=None, help_text="User name of a member of the team"
    )


class AssignedSerializer(serializers.Serializer[Any]):
    assigned = serializers.IntegerField(help_text="How many orders have another team or person than before")


class FindingSerializer(StrictSerializer):
    outcome = serializers.ChoiceField(FINDINGS)
    note = Text(max_length=LONGEST_NOTE, required=False, allow_blank=True, default="")
    replaced_by = Text(
        max_length=device_fields.LONGEST_SERIAL,
        required=False,
        allow_blank=True,
        default="",
        help_text="Serial number of the device that stands there now, with the outcome 'replaced'",
    )


class OrderRefused(APIException):
    """What was asked for does not fit the order as it is."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "order_refused"


class PdfRenderer(FileRenderer):
    media_type = sheets.MEDIA_TYPE
    format = "pdf"


class GeoJsonRenderer(FileRenderer):
    media_type = geojson.MEDIA_TYPE
    format = "geojson"


class WorkOrderViewSet(ExportMixin, SeenViewSet[WorkOrder]):
    """Work orders: devices that answered on no channel, for people who go and see them."""

    listing = WORK_ORDERS
    resource = "escalations"
    queryset = WorkOrder.objects.all()
    serializer_class = WorkOrderSerializer
    filterset_class = WorkOrderFilter
    orderings = ("due_at", "-due_at")
    lookup_value_regex = ID
    permissions_of_acts = {"close": ["renewal.change_workorder"], "assign": ["renewal.assign_workorder"]}

    def get_queryset(self) -> Any:
        orders = WorkOrder.objects.visible_to(self.request.user)
        return orders.with_facts().select_related("ticket") if self.action in {"list", "retrieve", "close"} else orders

    def paginate_queryset(self, queryset: Any) -> list[Any]:
        return _with_chances(super().paginate_queryset(queryset) or [])

    def get_object(self) -> WorkOrder:
        return _with_chances([super().get_object()])[0]

    @extend_schema(
        request=AssignmentSerializer, responses=AssignedSerializer, parameters=[IDEMPOTENCY_KEY], filters=False
    )
    @action(detail=False, methods=["post"], pagination_class=None)
    def assign(self, request: Request) -> Response:
        """Give up to 1000 work orders to a team of their fleet, and to one of its members or nobody in particular."""
        said = AssignmentSerializer().run_validation(request.data)
        wanted = set(said["orders"])
        seen = set(self.get_queryset().filter(pk__in=wanted).values_list("pk", flat=True))
        if unknown := sorted(wanted - seen):
            raise ValidationError({"orders": [f"There is no work order {unknown[0]}."]})
        team = Team.objects.of_fleets(fleets_of(request.user)).select_related("fleet").filter(pk=said["team"]).first()
        if team is None:
            raise ValidationError({"team": ["There is no team with this id."]})
        person = None
        if said["assigned_to"] is not None:
            person = team.members.filter(username=said["assigned_to"]).first()
            if person is None:
                raise ValidationError({"assigned_to": ["Nobody of this name is in the team."]})
        done = assigning.assign(sorted(seen), team, person, now=timezone.now(), actor=actor_of(request))
        if isinstance(done, Refused):
            raise ValidationError({done.field: [str(done.text)]})
        return Response({"assigned": done})

    @extend_schema(
        request=FindingSerializer, responses=WorkOrderSerializer, parameters=[IF_MATCH, IDEMPOTENCY_KEY, ETAG]
    )
    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: str) -> Response:
        """Close an open work order with what was found: the device's record is told of it."""
        wanted = condition(request)
        said = FindingSerializer().run_validation(request.data)
        finding = closing.Finding(Outcome(said["outcome"]), said["note"], said["replaced_by"])
        with transaction.atomic():
            order = self.get_locked(wanted)
            done = closing.close(order.pk, finding, now=timezone.now(), actor=actor_of(request))
        if isinstance(done, Refused):
            if done.field:
                raise ValidationError({done.field: [str(done.text)]})
            raise OrderRefused(str(done.text))
        shown = self.get_serializer(self.get_object()).data
        return Response(shown, headers={"ETag": tag(shown)})

    @extend_schema(responses={(200, sheets.MEDIA_TYPE): OpenApiResponse(OpenApiTypes.BINARY)})
    @action(detail=False, url_path="export.pdf", url_name="pdf", pagination_class=None, renderer_classes=[PdfRenderer])
    def export_pdf(self, request: Request) -> HttpResponse:
        """Sheets to print, by site and route, with a QR code for each order; at most 300. The audit log tells of it."""
        return self._file(request, FileKind.PDF)

    @extend_schema(responses={(200, geojson.MEDIA_TYPE): OpenApiResponse(OpenApiTypes.OBJECT)})
    @action(
        detail=False,
        url_path="export.geojson",
        url_name="geojson",
        pagination_class=None,
        renderer_classes=[GeoJsonRenderer],
    )
    def export_geojson(self, request: Request) -> HttpResponse:
        """A map of the orders (RFC 7946); at most 5000. The audit log tells of it."""
        return self._file(request, FileKind.GEOJSON)

    def _file(self, request: Request, kind: FileKind) -> HttpResponse:
        chosen: Any = self.filter_queryset(self.get_queryset())
        made = files.file_of(
            chosen,
            kind,
            question=request.query_params.urlencode(),
            address_of=page_of,
            now=timezone.now(),
            actor=actor_of(request),
        )
        if isinstance(made, Refused):
            raise OrderRefused(str(made.text))
        return download(made)


def _with_chances(orders: list[Any]) -> list[WorkOrder]:
    """Give each order its `chance`, in one query for all."""
    found = healing.chances(orders, timezone.now())
    for order in orders:
        order.chance = found.get(order.pk)
    return orders


class _Member(serializers.SlugRelatedField[Any]):
    """A person, by user name; what is no text is refused before the database is asked."""

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value(Text().run_validation(data))


class TeamSerializer(StrictModelSerializer[Team]):
    fleet = Named(slug_field="slug", queryset=Fleet.objects.all(), help_text="Label of its fleet; it stays there")
    name = Text(max_length=100)
    members = _Member(
        slug_field="username",
        many=True,
        queryset=get_user_model().objects.all(),
        required=False,
        help_text="User names",
    )

    class Meta:
        model = Team
        fields = ["id", "fleet", "name", "members"]

    def update(self, instance: Team, validated_data: Any) -> Team:
        members = validated_data.pop("members", None)
        saved = super().update(instance, validated_data)
        if members is not None:
            saved.members.set(members)
        return saved


class TeamViewSet(WriteViewSet[Team]):
    """Field teams: who visits the devices of a fleet."""

    resource = "teams"
    queryset = Team.objects.select_related("fleet").prefetch_related("members")
    serializer_class = TeamSerializer
    filterset_class = TeamFilter
    orderings = ("-id", "id")


class _SeenDevice(serializers.PrimaryKeyRelatedField[Any]):
    """A device of the caller's fleets, by its id."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(queryset=Device.objects.all(), pk_field=RowId(), **kwargs)

    def get_queryset(self) -> Any:
        return Device.objects.of_fleets(fleets_of(self.context["request"].user))


class DeviceNoteSerializer(StrictModelSerializer[DeviceNote]):
    device = _SeenDevice(help_text="Id of the device")
    model = Text(max_length=100, required=False, allow_blank=True)
    battery = Text(max_length=200, required=False, allow_blank=True)
    sim = Text(max_length=200, required=False, allow_blank=True)
    dead_zone_since = serializers.DateTimeField(
        required=False, allow_null=True, help_text="Since when no message reaches it where it stands"
    )

    class Meta:
        model = DeviceNote
        fields = ["device", "model", "battery", "sim", "dead_zone_since", "replaced_by"]
        read_only_fields = ["replaced_by"]

    def validate_device(self, device: Device) -> Device:
        if self.instance is not None and device.pk != self.instance.pk:
            raise ValidationError("A note stays with its device; write one for the other device.")
        return device


class DeviceNoteViewSet(WriteViewSet[DeviceNote]):
    """What people found out about devices on the spot. The key of a note is the id of its device."""

    resource = "device-notes"
    queryset = DeviceNote.objects.select_related("device")
    serializer_class = DeviceNoteSerializer
    filterset_class = DeviceNoteFilter
    orderings = ("-device_id", "device_id")
