"""Imports over the API: a file is handed over, workers do the import, and its progress and rejects can be read."""

from collections.abc import Iterator
from typing import Any

from django.http import FileResponse, Http404
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.exports import CsvRenderer
from inventory.api.rest.actors import actor_of
from inventory.api.rest.fields import Named, StrictSerializer
from inventory.api.rest.parameters import IDEMPOTENCY_KEY
from inventory.api.rest.read_views import ReadViewSet
from inventory.api.rest.references import ID, SlugOf
from inventory.importing import runs, uploads
from inventory.importing.rejects import path_of
from inventory.importing.sources.files import SourceRefused
from inventory.lists.filters import SlugFilter
from inventory.models import ColumnMapping, Fleet, ImportRun, ImportState, fleets_of
from inventory.models.importing import ENCODINGS, FORMATS, LINKS, PRODUCTS

# What multipart adds to a file.
_AROUND = 64 << 10


class ImportFilter(filters.FilterSet):
    state = filters.ChoiceFilter(choices=ImportState.choices)
    dry_run = filters.ChoiceFilter(choices=[("true", "true"), ("false", "false")], method="filter_dry_run")
    fleet = SlugFilter(queryset=Fleet.objects.all(), help_text="Slug of the fleet of rows that name none")

    class Meta:
        model = ImportRun
        fields: list[str] = []

    def filter_dry_run(self, found: Any, name: str, value: str) -> Any:
        return found.filter(dry_run=value == "true")


class RejectSerializer(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    reason = serializers.CharField()
    original = serializers.CharField()


class ImportCountsSerializer(serializers.Serializer[Any]):
    """What came of the records read so far. Of a dry run: what would."""

    records = serializers.IntegerField()
    devices_new = serializers.IntegerField()
    devices_known = serializers.IntegerField()
    devices_updated = serializers.IntegerField()
    certificates_new = serializers.IntegerField()
    certificates_known = serializers.IntegerField()
    certificates_repeated = serializers.IntegerField()
    certificates_revoked = serializers.IntegerField()
    authorities_new = serializers.IntegerField()
    rejected = serializers.IntegerField()


class ImportSerializer(serializers.ModelSerializer[ImportRun]):
    name = serializers.CharField(read_only=True, help_text="Of the file")
    fleet = SlugOf(allow_null=True, help_text="Of rows that name none")
    product = serializers.ChoiceField(PRODUCTS, read_only=True, allow_blank=True)
    progress = serializers.FloatField(source="share", read_only=True, help_text="From 0 to 1")
    counts = serializers.SerializerMethodField()
    columns = serializers.SerializerMethodField(help_text="What each column was read as")
    first_rejects = RejectSerializer(many=True, read_only=True, help_text="Up to ten; rejects/ has all")

    class Meta:
        model = ImportRun
        fields = [
            "id",
            "name",
            "format",
            "product",
            "fleet",
            "dry_run",
            "update_known",
            "columns",
            "state",
            "problem",
            "progress",
            "counts",
            "first_rejects",
            "actor",
            "started_at",
            "worked_at",
            "finished_at",
        ]
        read_only_fields = fields

    @extend_schema_field(ImportCountsSerializer)
    def get_counts(self, run: ImportRun) -> dict[str, int]:
        return runs.counts(run)

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
    def get_columns(self, run: ImportRun) -> dict[str, str]:
        return dict(run.reading.get("mapping", []))


class NewImportSerializer(StrictSerializer):
    file = serializers.FileField(help_text="CSV, JSON lines, PEM, DER, PKCS #7 or ZIP, at most 20 MiB")
    fleet = Named(slug_field="slug", queryset=Fleet.objects.all(), required=False, help_text="Of rows that name none")
    mapping = Named(
        slug_field="name",
        queryset=ColumnMapping.objects.all(),
        required=False,
        help_text="Name of a column mapping; without one, columns mean what they are called",
    )
    format = serializers.ChoiceField(FORMATS, required=False, help_text="Recognised without it")
    product = serializers.ChoiceField(PRODUCTS, required=False, help_text="What left the file")
    link = serializers.ChoiceField(LINKS, required=False, help_text="How a certificate finds its device")
    encoding = serializers.ChoiceField(ENCODINGS, required=False)
    dry_run = serializers.BooleanField(default=False, help_text="Only say what the import would do")
    update_known = serializers.BooleanField(default=False, help_text="Correct devices that are known already")


class ImportRefused(APIException):
    """What was asked for does not fit the state that the import is in."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "import_refused"


class ImportViewSet(ReadViewSet[ImportRun]):
    """Imports: what was read from where, how far it came and what came of it."""

    resource = "imports"
    queryset = ImportRun.objects.select_related("fleet")
    serializer_class = ImportSerializer
    filterset_class = ImportFilter
    orderings = ("-id", "id")
    lookup_value_regex = ID
    most_bytes = uploads.MAX_BYTES + _AROUND
    # Going on with an import makes none, but does what making one may do.
    permissions_of_acts = {"resume": ["inventory.add_importrun"], "in_earnest": ["inventory.add_importrun"]}

    def get_parsers(self) -> list[Any]:
        return [MultiPartParser()] if self.action_map.get("post") == "create" else super().get_parsers()

    def body_parts(self, request: Request) -> Iterator[bytes]:
        """What was sent, for who asks whether it is the same again."""
        for name in sorted(request.data):
            value = request.data[name]
            yield f"\n{name}\n".encode()
            yield from value.chunks() if hasattr(value, "chunks") else [str(value).encode("utf-8", "replace")]

    @extend_schema(
        request={"multipart/form-data": NewImportSerializer},
        responses={201: ImportSerializer},
        parameters=[IDEMPOTENCY_KEY],
        filters=False,
    )
    def create(self, request: Request) -> Response:
        """Hand over a file. A worker imports it, or with `dry_run` says what the import would do; poll `state`."""
        given = NewImportSerializer(data=request.data, context=self.get_serializer_context())
        given.is_valid(raise_exception=True)
        said = dict(given.validated_data)
        file, fleet = said.pop("file"), said.pop("fleet", None)
        how = {name: said.pop(name) for name in ("dry_run", "update_known")}
        if file.size > uploads.MAX_BYTES:
            text = f"At most {uploads.MAX_BYTES} bytes; import larger files by manage.py import_inventory."
            raise ValidationError({"file": [text]})
        reading = uploads.reading(said.pop("mapping", None), **said)
        try:
            kept = uploads.keep(file.name, file.chunks())
            run = uploads.begin(
                kept,
                reading,
                fleet,
                **how,
                within=fleets_of(request.user),
                now=timezone.now(),
                actor=actor_of(request),
            )
        except SourceRefused as refusal:
            raise ValidationError({"file": [str(refusal)]}) from refusal
        return self._begun(run)

    @extend_schema(
        request=None, responses={201: ImportSerializer}, parameters=[IDEMPOTENCY_KEY], summary="Import a tried file"
    )
    @action(detail=True, methods=["post"], url_path="in-earnest")
    def in_earnest(self, request: Request, pk: str) -> Response:
        """Import what a dry run has tried, as another import."""
        try:
            run = uploads.begin_in_earnest(
                self.get_object(), within=fleets_of(request.user), now=timezone.now(), actor=actor_of(request)
            )
        except SourceRefused as refusal:
            raise ImportRefused(str(refusal)) from refusal
        return self._begun(run)

    @extend_schema(request=None, responses=ImportSerializer, parameters=[IDEMPOTENCY_KEY])
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Go on with an import that stopped, from the last block that it took in."""
        try:
            run = uploads.resume(self.get_object(), now=timezone.now(), actor=actor_of(request))
        except SourceRefused as refusal:
            raise ImportRefused(str(refusal)) from refusal
        return Response(self.get_serializer(run).data)

    @extend_schema(
        responses={(200, CsvRenderer.media_type): OpenApiResponse(OpenApiTypes.STR)},
        summary="Every record that was not taken, with the reason, as CSV",
    )
    @action(detail=True, renderer_classes=[CsvRenderer])
    def rejects(self, request: Request, pk: str) -> FileResponse:
        """Every record that was not taken, with its line, the reason and the record itself. None: 404."""
        run = self.get_object()
        try:
            stream = path_of(run.pk).open("rb")
        except FileNotFoundError:
            raise Http404 from None
        return FileResponse(stream, as_attachment=True, filename=f"rejects-{run.pk}.csv", content_type="text/csv")

    def _begun(self, run: ImportRun) -> Response:
        where = {"Location": self.reverse_action("detail", args=[run.pk])}
        return Response(self.get_serializer(run).data, status.HTTP_201_CREATED, headers=where)


class ColumnMappingSerializer(serializers.ModelSerializer[ColumnMapping]):
    columns = serializers.DictField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = ColumnMapping
        fields = ["id", "name", "columns", "link", "encoding"]
        read_only_fields = fields


class ColumnMappingViewSet(ReadViewSet[ColumnMapping]):
    """Column mappings: what the columns of a kind of file mean, said once."""

    resource = "column-mappings"
    queryset = ColumnMapping.objects.all()
    serializer_class = ColumnMappingSerializer
    orderings = ("-id", "id")
    lookup_value_regex = ID
