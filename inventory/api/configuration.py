"""What is set once and seldom changed, over the API: fleets, profiles and authorities."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from inventory.api.rest.read_views import ReadViewSet
from inventory.api.rest.references import SLUG, CertificateReferenceSerializer, SlugOf
from inventory.issuing import urls
from inventory.lists.filters import FleetFilter
from inventory.models import Authority, Fleet, Profile


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
            "max_unconfirmed",
        ]
        read_only_fields = fields


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
        return urls.ocsp_url(authority.slug)

    @extend_schema_field(OpenApiTypes.URI)
    def get_issuer_url(self, authority: Authority) -> str:
        return urls.issuer_url(authority.slug)


class FleetViewSet(ReadViewSet[Fleet]):
    """Fleets: devices managed together."""

    resource = "fleets"
    queryset = Fleet.objects.select_related("authority", "profile")
    serializer_class = FleetSerializer
    filterset_class = FleetFilter
    orderings = ("slug", "-slug")
    lookup_field = "slug"
    lookup_value_regex = SLUG


class ProfileViewSet(ReadViewSet[Profile]):
    """Profiles: the rules by which the certificates of a fleet are made."""

    resource = "profiles"
    queryset = Profile.objects.all()
    serializer_class = ProfileSerializer
    orderings = ("slug", "-slug")
    lookup_field = "slug"
    lookup_value_regex = SLUG


class AuthorityViewSet(ReadViewSet[Authority]):
    """Certificate authorities."""

    resource = "authorities"
    queryset = Authority.objects.select_related("parent", "certificate").defer("certificate__der")
    serializer_class = AuthoritySerializer
    orderings = ("slug", "-slug")
    lookup_field = "slug"
    lookup_value_regex = SLUG
