"""Files as answers of the API, and every row of a list as one of them."""

from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from inventory.api.rest.actors import actor_of
from inventory.lists.downloads import download
from inventory.lists.exports import Export, ExportRefused, Format, Listing


class FileRenderer(BaseRenderer):
    """A file as it is."""

    charset = None
    render_style = "binary"

    def render(self, data: bytes, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        return data


class CsvRenderer(FileRenderer):
    media_type = "text/csv"
    format = "csv"


class XlsxRenderer(FileRenderer):
    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    format = "xlsx"


class NdjsonRenderer(FileRenderer):
    media_type = "application/x-ndjson"
    format = "ndjson"


class ExportsBusy(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "exports_busy"
    wait = 10


class ExportMixin:
    """Every row of a list in one answer, streamed past the serializers. Filters are those of the list."""

    listing: Listing

    @extend_schema(
        responses={(200, CsvRenderer.media_type): OpenApiResponse(OpenApiTypes.STR)},
        summary="All rows of the list as CSV; what looks like a formula begins with an apostrophe",
    )
    @action(detail=False, url_path="export.csv", url_name="csv", pagination_class=None, renderer_classes=[CsvRenderer])
    def export_csv(self, request: Request, **path: str) -> StreamingHttpResponse:
        """Every row that the filter holds now, once, in no particular order. The audit log tells of it."""
        return self._export(request, Format.CSV)

    @extend_schema(
        responses={(200, XlsxRenderer.media_type): OpenApiResponse(OpenApiTypes.BINARY)},
        summary="All rows of the list as a workbook",
    )
    @action(
        detail=False, url_path="export.xlsx", url_name="xlsx", pagination_class=None, renderer_classes=[XlsxRenderer]
    )
    def export_xlsx(self, request: Request, **path: str) -> StreamingHttpResponse:
        """Every row that the filter holds now, once, in no particular order. The audit log tells of it."""
        return self._export(request, Format.XLSX)

    @extend_schema(
        responses={(200, NdjsonRenderer.media_type): OpenApiResponse(OpenApiTypes.STR)},
        summary="All rows of the list as JSON lines",
    )
    @action(
        detail=False,
        url_path="export.ndjson",
        url_name="ndjson",
        pagination_class=None,
        renderer_classes=[NdjsonRenderer],
    )
    def export_ndjson(self, request: Request, **path: str) -> StreamingHttpResponse:
        """Every row that the filter holds now, once, in no particular order. The audit log tells of it."""
        return self._export(request, Format.NDJSON)

    def _export(self, request: Request, kind: Format) -> StreamingHttpResponse:
        view: Any = self
        actor = actor_of(request)
        queryset = view.filter_queryset(view.get_queryset())
        export = Export(self.listing, queryset, kind, request.query_params.urlencode(), actor)
        try:
            return download(export, timezone.now)
        except ExportRefused as refusal:
            raise ExportsBusy(str(refusal)) from refusal
