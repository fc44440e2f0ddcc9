"""The inventory over the API: read and filter. Lists never carry DER; a single certificate has its PEM."""

import ssl
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from inventory import addresses
from inventory.audit.record import Actor
from inventory.authorities import chain
from inventory.downloads import download
from inventory.exporting import AUDIT_EVENTS, CERTIFICATES, Export, ExportRefused, Format, Listing
from inventory.filters import AuditEventFilter, CertificateFilter, FleetFilter
from inventory.models import AuditEvent, Authority, Certificate, Device, Fleet, Profile, RevocationReason, ShownState
from inventory.models.audit import ActorKind

SLUG = "[-a-zA-Z0-9_]+"
ID = "[0-9]+"


@extend_schema_field(OpenApiTypes.STR)
class HexField(serializers.Field[Any, Any, str, Any]):
    """Bytes, shown in lower-case hexadecimal."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def to_representation(self, value: bytes) -> str:
        return bytes(value).hex()


class SlugOf(serializers.SlugRelatedField[Any]):
    """Another object, named by its slug."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(slug_field="slug", read_only=True, **kwargs)


class NameOf(serializers.SlugRelatedField[Any]):
    """Another object, named by its name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(slug_field="name", read_only=True, **kwargs)


class FleetSerializer(serializers.ModelSerializer[Fleet]):
    authority = SlugOf(help_text="Slug of the authority that signs the next certificate of every device")
    profile = SlugOf(help_text="Slug of the profile by whose rules certificates are made")

    class Meta:
        model = Fleet
        fields = ["slug", "name", "authority", "profile"]
        read_only_fields = fields


class ProfileSerializer(serializers.ModelSerializer[Profile]):
    class Meta:
        model = Profile
        fields = [
            "slug",
            "name",
            "validity",
            "jitter_max",
            "renewal_window",
            "key_types",
            "extended_key_usages",
            "subject_template",
            "san_templates",
            "allow_same_key",
        ]
        read_only_fields = fields


class DeviceReferenceSerializer(serializers.ModelSerializer[Device]):
    """A device as other objects name it."""

    fleet = SlugOf()

    class Meta:
        model = Device
        fields = ["id", "fleet", "serial"]
        read_only_fields = fields


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


class CertificateReferenceSerializer(serializers.ModelSerializer[Certificate]):
    """A certificate as other objects name it."""

    class Meta:
        model = Certificate
        fields = ["id", "serial", "not_after"]
        read_only_fields = fields


class CertificateSerializer(serializers.ModelSerializer[Certificate]):
    authority = SlugOf(help_text="Slug of the issuer")
    device = DeviceReferenceSerializer(read_only=True, allow_null=True)
    profile = SlugOf(allow_null=True)
    sha256 = HexField(help_text="SHA-256 of the DER")
    spki_sha256 = HexField(help_text="SHA-256 of the SubjectPublicKeyInfo")
    state = serializers.ChoiceField(ShownState.choices, source="shown_state", read_only=True)
    revocation_reason = serializers.ChoiceField(
        RevocationReason.choices, read_only=True, allow_blank=True, help_text="Empty unless revoked"
    )
    predecessor = serializers.IntegerField(
        source="predecessor_id", read_only=True, allow_null=True, help_text="Id of the certificate this one renews"
    )
    successor = serializers.IntegerField(
        source="successor_id", read_only=True, allow_null=True, help_text="Id of the certificate that superseded it"
    )

    class Meta:
        model = Certificate
        fields = [
            "id",
            "serial",
            "authority",
            "purpose",
            "device",
            "profile",
            "subject",
            "key_type",
            "sha256",
            "spki_sha256",
            "not_before",
            "not_after",
            "jitter",
            "issued_at",
            "crl_shard",
            "state",
            "predecessor",
            "successor",
            "activated_at",
            "revoked_at",
            "revocation_reason",
        ]
        read_only_fields = fields


class CertificateDetailSerializer(CertificateSerializer):
    pem = serializers.SerializerMethodField()

    class Meta(CertificateSerializer.Meta):
        fields = [*CertificateSerializer.Meta.fields, "pem"]
        read_only_fields = fields

    def get_pem(self, certificate: Certificate) -> str:
        return ssl.DER_cert_to_PEM_cert(bytes(certificate.der))


class AuthoritySerializer(serializers.ModelSerializer[Authority]):
    parent = SlugOf(  # type: ignore[assignment]  # the class keeps fields aside: the attribute of DRF stays what it is
        allow_null=True, help_text="Slug of the authority that signed this one; null for a root"
    )
    certificate = CertificateReferenceSerializer(read_only=True, allow_null=True)
    ocsp_url = serializers.SerializerMethodField()
    issuer_url = serializers.SerializerMethodField(help_text="Where its certificate is, in DER")

    class Meta:
        model = Authority
        fields = ["slug", "name", "parent", "certificate", "crl_shards", "ocsp_url", "issuer_url", "created_at"]
        read_only_fields = fields

    @extend_schema_field(OpenApiTypes.URI)
    def get_ocsp_url(self, authority: Authority) -> str:
        return addresses.ocsp_url(authority.slug)

    @extend_schema_field(OpenApiTypes.URI)
    def get_issuer_url(self, authority: Authority) -> str:
        return addresses.issuer_url(authority.slug)


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


class FileRenderer(BaseRenderer):
    """A file as it is."""

    charset = None
    render_style = "binary"

    def render(self, data: bytes, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        return data


class PemChainRenderer(FileRenderer):
    media_type = "application/pem-certificate-chain"
    format = "pem"


class DerRenderer(FileRenderer):
    media_type = "application/pkix-cert"
    format = "der"


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
        actor = Actor(ActorKind.USER, request.user.get_username(), request.META.get("REMOTE_ADDR") or None)
        queryset = view.filter_queryset(view.get_queryset())
        export = Export(self.listing, queryset, kind, request.query_params.urlencode(), actor)
        try:
            return download(export, timezone.now())
        except ExportRefused as refusal:
            raise ExportsBusy(str(refusal)) from refusal


class FleetViewSet(ReadOnlyModelViewSet[Fleet]):
    """Fleets: devices managed together."""

    resource = "fleets"
    queryset = Fleet.objects.select_related("authority", "profile")
    serializer_class = FleetSerializer
    filterset_class = FleetFilter
    orderings = ("slug", "-slug")
    lookup_field = "slug"
    lookup_value_regex = SLUG


class ProfileViewSet(ReadOnlyModelViewSet[Profile]):
    """Profiles: the rules by which the certificates of a fleet are made."""

    resource = "profiles"
    queryset = Profile.objects.all()
    serializer_class = ProfileSerializer
    orderings = ("slug", "-slug")
    lookup_field = "slug"
    lookup_value_regex = SLUG


class AuthorityViewSet(ReadOnlyModelViewSet[Authority]):
    """Certificate authorities."""

    resource = "authorities"
    queryset = Authority.objects.select_related("parent", "certificate").defer("certificate__der")
    serializer_class = AuthoritySerializer
    orderings = ("slug", "-slug")
    lookup_field = "slug"
    lookup_value_regex = SLUG


_BY_END = frozenset({"not_after_after", "not_after_before"})


class CertificateViewSet(ExportMixin, ReadOnlyModelViewSet[Certificate]):
    """Certificates: every one that any authority of the portal ever signed."""

    listing = CERTIFICATES
    resource = "certificates"
    queryset = Certificate.objects.select_related("authority", "device__fleet", "profile")
    serializer_class = CertificateSerializer
    filterset_class = CertificateFilter
    orderings = ("-id", "id", "not_after", "-not_after")
    lookup_value_regex = ID

    @cached_property
    def now(self) -> datetime:
        """The moment of the request: one row is not shown as expired and filtered as not."""
        return timezone.now()

    def ordering_for(self, request: Request) -> str:
        """Return the order of a list that says none: what is asked for by its end is read in the order of ends."""
        asked = request.query_params
        by_end = _BY_END & asked.keys() or asked.get("state") == ShownState.EXPIRED
        return "not_after" if by_end else self.orderings[0]

    @property
    def filterset_arguments(self) -> dict[str, Any]:
        return {"now": self.now}

    def get_queryset(self) -> QuerySet[Certificate]:
        certificates = Certificate.objects.with_shown_state(self.now).select_related(
            "authority", "device__fleet", "profile"
        )
        return certificates if self.detail else certificates.defer("der")

    def get_serializer_class(self) -> type[CertificateSerializer]:
        return CertificateDetailSerializer if self.action == "retrieve" else CertificateSerializer

    @extend_schema(
        responses={(200, PemChainRenderer.media_type): OpenApiResponse(OpenApiTypes.STR)},
        summary="The certificate and those of its issuers, up to the root",
    )
    @action(detail=True, renderer_classes=[PemChainRenderer])
    def pem(self, request: Request, pk: str) -> Response:
        """The certificate followed by those of its issuers up to the root, in PEM (RFC 8555 9.1)."""
        certificate = self.get_object()
        certificates = [certificate, *chain(certificate.authority)]
        # A root stands in its own chain.
        texts = [ssl.DER_cert_to_PEM_cert(bytes(each.der)) for each in dict.fromkeys(certificates)]
        return Response("".join(texts).encode())

    @extend_schema(responses={(200, DerRenderer.media_type): OpenApiResponse(OpenApiTypes.BINARY)})
    @action(detail=True, renderer_classes=[DerRenderer])
    def der(self, request: Request, pk: str) -> Response:
        """The certificate byte for byte as it was signed, in DER."""
        return Response(bytes(self.get_object().der))


class AuditEventViewSet(ExportMixin, ReadOnlyModelViewSet[AuditEvent]):
    """The audit log: who did what to which object, when and why."""

    listing = AUDIT_EVENTS
    resource = "audit-events"
    queryset = AuditEvent.objects.select_related("device__fleet", "certificate").defer("certificate__der")
    serializer_class = AuditEventSerializer
    filterset_class = AuditEventFilter
    orderings = ("-at", "at")
    lookup_value_regex = ID
