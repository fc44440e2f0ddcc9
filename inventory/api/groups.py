"""Sites and batches over the API: where devices stand and in which run they were made."""

from typing import Any, TypeVar

from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.rest import bulk_rows
from inventory.api.rest.actors import actor_of
from inventory.api.rest.fields import StrictModelSerializer, StrictSerializer, Text
from inventory.api.rest.parameters import ETAG, IDEMPOTENCY_KEY
from inventory.api.rest.references import SlugOf
from inventory.api.rest.write_views import ChangeViewSet
from inventory.devices import groups
from inventory.lists.filters import SlugFilter
from inventory.models import Batch, Fleet, Site, fleets_of

G = TypeVar("G", Site, Batch)


class _GroupFilter(filters.FilterSet):
    fleet = SlugFilter(queryset=Fleet.objects.all(), help_text="Slug of the fleet")
    name = filters.CharFilter(help_text="Name, exactly")


class SiteFilter(_GroupFilter):
    class Meta:
        model = Site
        fields: list[str] = []


class BatchFilter(_GroupFilter):
    class Meta:
        model = Batch
        fields: list[str] = []


class SiteSerializer(StrictModelSerializer[Site]):
    fleet = SlugOf()
    name = Text(max_length=100)
    time_zone = Text(max_length=64, allow_blank=True, required=False, help_text="IANA name, or empty")

    class Meta:
        model = Site
        fields = ["id", "fleet", "name", "time_zone"]


class BatchSerializer(StrictModelSerializer[Batch]):
    fleet = SlugOf()
    name = Text(max_length=100)

    class Meta:
        model = Batch
        fields = ["id", "fleet", "name", "manufactured_on"]


class NewSiteSerializer(StrictSerializer):
    fleet = Text(max_length=50, help_text="Label of its fleet")
    name = Text(max_length=100)


class NewBatchSerializer(NewSiteSerializer):
    manufactured_on = serializers.DateField(allow_null=True, required=False)


class _GroupViewSet(ChangeViewSet[G]):
    orderings = ("-id", "id")
    new_serializer: type[StrictSerializer]

    def create(self, request: Request) -> Response:
        reader = self.new_serializer()
        model: type[G] = self.get_queryset().model
        if not isinstance(request.data, list):
            group = _group(reader.run_validation(request.data))
            one = groups.make(model, {0: group}, timezone.now(), actor_of(request), fleets_of(request.user))[0]
            if one.object is None:
                raise ValidationError({one.field: [one.reason]})
            return self._shown(one.object, status.HTTP_201_CREATED)
        good, bad = bulk_rows.parsed(reader, bulk_rows.items(request.data))
        wanted = {place: _group(row) for place, row in good.items()}
        done = groups.make(model, wanted, timezone.now(), actor_of(request), fleets_of(request.user))
        return Response(bulk_rows.answer(done, bad, self.get_serializer()))


def _group(row: dict[str, Any]) -> groups.Group:
    return groups.Group(row.pop("fleet"), row.pop("name"), row)


class SiteViewSet(_GroupViewSet[Site]):
    """Sites: places or regions where devices of a fleet are installed."""

    resource = "sites"
    queryset = Site.objects.select_related("fleet")
    serializer_class = SiteSerializer
    filterset_class = SiteFilter
    new_serializer = NewSiteSerializer

    @extend_schema(
        request=bulk_rows.one_or_many("NewSites", NewSiteSerializer),
        responses={200: bulk_rows.RowResultsSerializer, 201: SiteSerializer},
        parameters=[IDEMPOTENCY_KEY, ETAG],
        filters=False,
    )
    def create(self, request: Request) -> Response:
        """Make a site, or up to 1000 in a list: then each has its result, and one refused keeps no other back."""
        return super().create(request)


class BatchViewSet(_GroupViewSet[Batch]):
    """Batches: devices made together, whose certificates tend to end together."""

    resource = "batches"
    queryset = Batch.objects.select_related("fleet")
    serializer_class = BatchSerializer
    filterset_class = BatchFilter
    new_serializer = NewBatchSerializer

    @extend_schema(
        request=bulk_rows.one_or_many("NewBatches", NewBatchSerializer),
        responses={200: bulk_rows.RowResultsSerializer, 201: BatchSerializer},
        parameters=[IDEMPOTENCY_KEY, ETAG],
        filters=False,
    )
    def create(self, request: Request) -> Response:
        """Make a batch, or up to 1000 in a list: then each has its result, and one refused keeps no other back."""
        return super().create(request)
