"""Certificates over the API. Lists never carry DER; a single certificate has its PEM."""

import ssl
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.exports import ExportMixin, FileRenderer
from inventory.api.rest.read_views import ReadViewSet
from inventory.api.rest.references import ID, DeviceReferenceSerializer, HexField, SlugOf
from inventory.issuing.authorities import known_chain
from inventory.lists.exports import CERTIFICATES
from inventory.lists.filters import CertificateFilter
from inventory.models import Certificate, CertificateStatus, RevocationReason
from inventory.models.certificate import CertificateQuerySet


class CertificateSerializer(serializers.ModelSerializer[Certificate]):
    authority = SlugOf(help_text="Slug of the issuer")
    device = DeviceReferenceSerializer(read_only=True, allow_null=True)
    profile = SlugOf(allow_null=True)
    sha256 = HexField(help_text="SHA-256 of the DER")
    spki_sha256 = HexField(help_text="SHA-256 of the SubjectPublicKeyInfo")
    status = serializers.ChoiceField(CertificateStatus.choices, read_only=True)
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
            "issuance_index",
            "status",
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


class PemChainRenderer(FileRenderer):
    media_type = "application/pem-certificate-chain"
    format = "pem"


class DerRenderer(FileRenderer):
    media_type = "application/pkix-cert"
    format = "der"


_BY_END = frozenset({"not_after_after", "not_after_before"})


class CertificateViewSet(ExportMixin, ReadViewSet[Certificate]):
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
        """Return the order of a list that says none: what is asked for by its end comes in the order of ends."""
        asked = request.query_params
        by_end = _BY_END & asked.keys() or asked.get("status") == CertificateStatus.EXPIRED
        return "not_after" if by_end else super().ordering_for(request)

    @property
    def filterset_arguments(self) -> dict[str, Any]:
        return {"now": self.now}

    def get_queryset(self) -> QuerySet[Certificate]:
        rows: Any = super().get_queryset()
        certificates: CertificateQuerySet = rows.with_status(self.now)
        return certificates if self.detail else certificates.defer("der")

    def get_serializer_class(self) -> type[CertificateSerializer]:
        return CertificateDetailSerializer if self.action == "retrieve" else CertificateSerializer

    @extend_schema(
        responses={(200, PemChainRenderer.media_type): OpenApiResponse(OpenApiTypes.STR)},
        summary="The certificate and those of its issuers, up to the root",
    )
    @action(detail=True, renderer_classes=[PemChainRenderer])
    def pem(self, request: Request, pk: str) -> Response:
        """The certificate followed by those of its issuers that are known, in PEM (RFC 8555 9.1)."""
        certificate = self.get_object()
        certificates = [certificate, *known_chain(certificate.authority)]
        # A root stands in its own chain.
        texts = [ssl.DER_cert_to_PEM_cert(bytes(each.der)) for each in dict.fromkeys(certificates)]
        return Response("".join(texts).encode())

    @extend_schema(responses={(200, DerRenderer.media_type): OpenApiResponse(OpenApiTypes.BINARY)})
    @action(detail=True, renderer_classes=[DerRenderer])
    def der(self, request: Request, pk: str) -> Response:
        """The certificate byte for byte as it was signed, in DER."""
        return Response(bytes(self.get_object().der))
