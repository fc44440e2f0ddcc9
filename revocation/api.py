"""Published CRLs over the API: what was published, when the next is due and where the file is."""

from typing import Any

from django_filters import rest_framework as filters
from rest_framework import serializers

from inventory.api.rest.read_views import ReadViewSet
from inventory.api.rest.references import ID, HexField, SlugOf
from inventory.lists.filters import SlugFilter, after, before
from inventory.models import Authority
from revocation.models import Crl


class CrlFilter(filters.FilterSet):
    authority = SlugFilter(queryset=Authority.objects.all(), help_text="Slug of the issuer")
    shard = filters.NumberFilter(min_value=0, max_value=32767, decimal_places=0, help_text="Number of the shard")
    this_update_after = after("this_update", "thisUpdate")
    this_update_before = before("this_update", "thisUpdate")
    next_update_before = before("next_update", "Due for replacement")

    class Meta:
        model = Crl
        fields: list[str] = []


class CrlSerializer(serializers.ModelSerializer[Crl]):
    authority = SlugOf(help_text="Slug of the issuer")
    shard = serializers.IntegerField(allow_null=True, help_text="Null: the complete CRL of the authority")
    sha256 = HexField(help_text="SHA-256 of the file")

    class Meta:
        model = Crl
        fields = [
            "id",
            "authority",
            "shard",
            "number",
            "published_at",
            "this_update",
            "next_update",
            "entries",
            "size",
            "sha256",
        ]
        read_only_fields = fields


class CrlViewSet(ReadViewSet[Any]):
    """CRLs: every one that was published, the newest first."""

    resource = "crls"
    queryset = Crl.objects.select_related("authority")
    serializer_class = CrlSerializer
    filterset_class = CrlFilter
    orderings = ("-id", "id")
    lookup_value_regex = ID
