"""Sightings over the API: reports by the thousand come in, odd ones can be read."""

from collections import Counter
from typing import Any

from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.rest.actors import actor_of
from inventory.api.rest.parameters import IDEMPOTENCY_KEY
from inventory.api.rest.read_views import ReadViewSet
from inventory.api.rest.references import ID, CertificateReferenceSerializer, DeviceReferenceSerializer
from inventory.lists.filters import SlugFilter, after, before
from inventory.models import Fleet, UnexpectedSighting, fleets_of
from inventory.models.sighting import Oddity
from inventory.sightings import MOST_IN_A_BATCH, Result, Sighting, SightingOutcome, json_reports, record_sightings


class UnexpectedSightingFilter(filters.FilterSet):
    oddity = filters.ChoiceFilter(choices=Oddity.choices, help_text="What is wrong")
    source = filters.CharFilter(help_text="Who reported it, exactly")
    device = filters.CharFilter(field_name="device__serial", help_text="Serial number of the device, exactly")
    fleet = SlugFilter(field_name="device__fleet", queryset=Fleet.objects.all(), help_text="Slug of the device's fleet")
    last_seen_after = after("last_seen_at", "Last seen")
    last_seen_before = before("last_seen_at", "Last seen")

    class Meta:
        model = UnexpectedSighting
        fields: list[str] = []


class UnexpectedSightingSerializer(serializers.ModelSerializer[UnexpectedSighting]):
    device = DeviceReferenceSerializer(read_only=True, allow_null=True)
    certificate = CertificateReferenceSerializer(read_only=True, allow_null=True)

    class Meta:
        model = UnexpectedSighting
        fields = ["id", "oddity", "name", "source", "device", "certificate", "first_seen_at", "last_seen_at", "count"]
        read_only_fields = fields


class SightingSerializer(serializers.Serializer[Any]):
    """One sighting, of a certificate by `sha256` or by `issuer` and `serial`, or of a device by `fleet` and `device`.

    For the description alone: `rows` reads them, thousands at a time.
    """

    seen_at = serializers.DateTimeField(help_text="When, with an offset")
    sha256 = serializers.CharField(required=False, help_text="SHA-256 fingerprint in hexadecimal, colons allowed")
    issuer = serializers.CharField(
        required=False, help_text="Slug of the issuer, or its name in RFC 4514 or as OpenSSL writes it"
    )
    serial = serializers.CharField(required=False, help_text="Serial number in hexadecimal, colons allowed")
    fleet = serializers.CharField(required=False, help_text="Label of the device's fleet")
    device = serializers.CharField(
        required=False, help_text="Serial number of the device; confirms no certificate, since none is named"
    )


class ReportSerializer(serializers.Serializer[Any]):
    sightings = SightingSerializer(many=True, help_text=f"1 to {MOST_IN_A_BATCH} sightings")


class ResultSerializer(serializers.Serializer[Any]):
    outcome = serializers.ChoiceField(SightingOutcome.choices)
    reason = serializers.CharField(required=False, help_text="Why it was refused")


class ReportAnswerSerializer(serializers.Serializer[Any]):
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="How many had each outcome")
    results = ResultSerializer(many=True, help_text="What became of each sighting, in their order")


class SightingViewSet(ReadViewSet[UnexpectedSighting]):
    """Sightings: that devices authenticated is reported here, and what should not have been seen can be read."""

    resource = "sightings"
    queryset = UnexpectedSighting.objects.select_related("device__fleet", "certificate").defer("certificate__der")
    serializer_class = UnexpectedSightingSerializer
    filterset_class = UnexpectedSightingFilter
    orderings = ("-last_seen_at", "last_seen_at")
    lookup_value_regex = ID

    @extend_schema(
        request=ReportSerializer,
        responses={200: ReportAnswerSerializer},
        filters=False,
        parameters=[IDEMPOTENCY_KEY],
    )
    def create(self, request: Request) -> Response:
        """Report sightings in bulk. A row that is refused says why, and keeps no other from being taken in."""
        parsed = [_parse(row) for row in _rows(request.data)]
        good = [row for row in parsed if isinstance(row, Sighting)]
        recorded = iter(record_sightings(good, timezone.now(), actor_of(request), fleets_of(request.user)))
        results = [next(recorded) if isinstance(row, Sighting) else row for row in parsed]
        counts = Counter(result.outcome for result in results)
        return Response(
            {
                "counts": {outcome.value: counts[outcome] for outcome in SightingOutcome},
                "results": [_shown(result) for result in results],
            }
        )


def _rows(body: object) -> list[object]:
    if not isinstance(body, dict) or body.keys() != {"sightings"} or not isinstance(body["sightings"], list):
        raise ValidationError({"sightings": ['Send {"sightings": [...]}, a list of objects, and nothing beside it.']})
    found: list[object] = body["sightings"]
    if not 1 <= len(found) <= MOST_IN_A_BATCH:
        raise ValidationError({"sightings": [f"A report holds 1 to {MOST_IN_A_BATCH} sightings; it has {len(found)}."]})
    return found


def _parse(row: object) -> Sighting | Result:
    try:
        return json_reports.sighting(row)
    except json_reports.Malformed as error:
        return Result(SightingOutcome.REFUSED, str(error))


def _shown(result: Result) -> dict[str, str]:
    return {"outcome": result.outcome.value} | ({"reason": result.reason} if result.reason else {})
