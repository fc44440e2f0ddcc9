"""When certificates end, over the API: counts by day and group, the cliffs, and what jitter would do about one."""

from collections.abc import Mapping
from datetime import UTC, date, timedelta
from itertools import pairwise
from typing import Any

from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from inventory.api.rest.fields import Named, StrictSerializer, Whole
from inventory.counters import reading
from inventory.expiry import cliffs
from inventory.expiry.buckets import Bucket, bounds
from inventory.expiry.jitter.comparison import compare
from inventory.expiry.jitter.expectation import Rules, Run
from inventory.lists.filters import SlugFilter
from inventory.models import Axis, Certificate, Fleet, FleetIds, fleets_of

_DAY = timedelta(days=1)
_DEFAULT_SPAN = 90 * _DAY
_MOST_BUCKETS = 1000
_GROUPS, _MOST_GROUPS = 20, 100


class CliffFilter(filters.FilterSet):
    fleet = SlugFilter(queryset=Fleet.objects.all(), method="keep", help_text="Slug of the fleet; all without it")

    class Meta:
        model = Certificate
        fields: list[str] = []

    def keep(self, certificates: Any, name: str, value: Any) -> Any:
        """Counters are asked, and no rows are filtered."""
        return certificates


class ExpiryFilter(CliffFilter):
    by = filters.ChoiceFilter(choices=Axis.choices, method="keep", help_text="What is a group; 'fleet' without it")
    bucket = filters.ChoiceFilter(choices=Bucket.choices, method="keep", help_text="'day' without it")
    ends_after = filters.DateFilter(method="keep", help_text="From this day of UTC on; today without it")
    ends_before = filters.DateFilter(method="keep", help_text="Before this day of UTC; 90 days later without it")
    groups = filters.NumberFilter(
        min_value=1,
        max_value=_MOST_GROUPS,
        decimal_places=0,
        method="keep",
        help_text=f"How many groups, the largest first; {_GROUPS} without it",
    )


class BucketCountSerializer(serializers.Serializer[Any]):
    start = serializers.DateField(help_text="First day")
    end = serializers.DateField(help_text="The day after the last")
    count = serializers.IntegerField()


class GroupCountSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(allow_null=True, help_text="Null: what belongs to no group")
    name = serializers.CharField(allow_null=True)
    total = serializers.IntegerField()
    buckets = BucketCountSerializer(many=True, help_text="Those in which anything ends")


@extend_schema_serializer(many=False)
class ExpirySerializer(serializers.Serializer[Any]):
    """For the description alone, as all here."""

    by = serializers.ChoiceField(Axis.choices)
    bucket = serializers.ChoiceField(Bucket.choices)
    start = serializers.DateField()
    end = serializers.DateField()
    groups = serializers.IntegerField(help_text="How many groups hold anything; the largest are in `results`")
    results = GroupCountSerializer(many=True)


class CauseSerializer(serializers.Serializer[Any]):
    by = serializers.ChoiceField(Axis.choices)
    id = serializers.IntegerField()
    name = serializers.CharField()
    count = serializers.IntegerField()


class CliffSerializer(serializers.Serializer[Any]):
    fleet = serializers.SlugField()
    day = serializers.DateField()
    count = serializers.IntegerField(help_text="How many certificates that devices stand on end that day")
    fleet_size = serializers.IntegerField(help_text="Devices of the fleet")
    cause = CauseSerializer(allow_null=True, help_text="The group that most of them have in common")


@extend_schema_serializer(many=False)
class CliffsSerializer(serializers.Serializer[Any]):
    results = CliffSerializer(many=True, help_text="The largest first")


class ProductionRunSerializer(StrictSerializer):
    """A production run, and the lifetimes to try."""

    fleet = Named(slug_field="slug", queryset=Fleet.objects.select_related("authority__certificate", "profile"))
    units_a_day = Whole(min_value=1, max_value=10_000_000)
    days = Whole(min_value=1, max_value=400, help_text="Days of production")
    first_day = serializers.DateField(required=False, help_text="Of production; tomorrow without it")
    validity_days = Whole(min_value=1, max_value=20 * 366, required=False, help_text="As the profile says without it")
    jitter_days = Whole(min_value=0, max_value=366)

    def validate_first_day(self, day: date) -> date:
        if not 1970 <= day.year <= 2200:
            raise serializers.ValidationError("A day between the years 1970 and 2200.")
        return day


class DayCountSerializer(serializers.Serializer[Any]):
    day = serializers.DateField()
    count = serializers.FloatField()


class LifetimesSerializer(serializers.Serializer[Any]):
    validity = serializers.DurationField()
    jitter_max = serializers.DurationField()
    largest_day = DayCountSerializer()
    histogram = DayCountSerializer(many=True, help_text="How many of the run are expected to end on each day")


class JitterSerializer(serializers.Serializer[Any]):
    factor = serializers.FloatField(help_text="By what the largest day falls")
    clamped = serializers.BooleanField(help_text="Some would outlive their issuer, and end with it")
    before = LifetimesSerializer(help_text="As the profile of the fleet says")
    after = LifetimesSerializer(help_text="As asked")
    existing = DayCountSerializer(many=True, help_text="What ends anyway on the days between the first and the last")


class ExpiryViewSet(GenericViewSet[Certificate]):
    """Counts of live certificates by expiry date. They come from counters: the cost does not grow with the fleet."""

    resource = "expiry"
    queryset = Certificate.objects.none()
    pagination_class = None
    permissions_of_acts = {"jitter": ["inventory.view_certificate", "inventory.view_profile"]}
    reading_acts = ("jitter",)

    @property
    def filterset_class(self) -> type[CliffFilter] | None:
        return {"list": ExpiryFilter, "cliffs": CliffFilter}.get(self.action)

    def _asked(self, request: Request) -> dict[str, Any]:
        """Return what the address asks for. Raises ValidationError."""
        assert self.filterset_class is not None
        self.filter_queryset(self.get_queryset())
        filterset = self.filterset_class(request.query_params, self.get_queryset(), request=request)
        filterset.is_valid()
        cleaned: dict[str, Any] = filterset.form.cleaned_data
        return cleaned

    def _fleets(self, request: Request, asked: dict[str, Any]) -> FleetIds:
        """Return the fleet that was asked for, else all that the caller sees."""
        chosen: Fleet | None = asked["fleet"]
        return [chosen.pk] if chosen else fleets_of(request.user)

    @extend_schema(responses=ExpirySerializer)
    def list(self, request: Request) -> Response:
        """Count what ends in each day, week or month, by groups: at most 1000 buckets of the largest groups."""
        asked = self._asked(request)
        axis, bucket = Axis(asked["by"] or Axis.FLEET), Bucket(asked["bucket"] or Bucket.DAY)
        start, end = self._span(asked)
        marks = bounds(start, end, bucket)
        if len(marks) > _MOST_BUCKETS + 1:
            text = f"{len(marks) - 1} buckets; at most {_MOST_BUCKETS} are counted at once. Ask for longer ones."
            raise ValidationError({"bucket": [text]})
        fleets = self._fleets(request, asked)
        groups = reading.largest_groups(axis, start, end, most=int(asked["groups"] or _GROUPS), fleets=fleets)
        counts = reading.cells(axis, marks, list(groups.largest), fleets=fleets)
        names = dict(cliffs.GROUPS[axis]._default_manager.filter(pk__in=[*groups.largest]).values_list("id", "name"))
        spans = list(pairwise(marks))
        return Response(
            {
                "by": axis.value,
                "bucket": bucket.value,
                "start": start,
                "end": end,
                "groups": groups.number,
                "results": [
                    {
                        "id": group,
                        "name": names.get(group),
                        "total": total,
                        "buckets": [
                            {"start": first, "end": last, "count": counts[group, first]}
                            for first, last in spans
                            if (group, first) in counts
                        ],
                    }
                    for group, total in groups.largest.items()
                ],
            }
        )

    def _span(self, asked: dict[str, Any]) -> tuple[date, date]:
        start: date = asked["ends_after"] or timezone.now().astimezone(UTC).date()
        if not 1970 <= start.year < 9900:
            raise ValidationError({"ends_after": ["A day between the years 1970 and 9900."]})
        end: date = asked["ends_before"] or start + _DEFAULT_SPAN
        if not start < end <= start + cliffs.HORIZON:
            raise ValidationError({"ends_before": [f"A day after {start}, at most 20 years later."]})
        return start, end

    @extend_schema(responses=CliffsSerializer, filters=True)
    @action(detail=False)
    def cliffs(self, request: Request) -> Response:
        """Return the days on which too much of a fleet ends at once, and what that has in common."""
        found = cliffs.cliffs(timezone.now(), self._fleets(request, self._asked(request)))
        slugs = dict(Fleet.objects.filter(pk__in={cliff.fleet_id for cliff in found}).values_list("id", "slug"))
        return Response({"results": [_cliff(cliff, slugs[cliff.fleet_id]) for cliff in found]})

    @extend_schema(request=ProductionRunSerializer, responses=JitterSerializer)
    @action(detail=False, methods=["post"])
    def jitter(self, request: Request) -> Response:
        """Simulate when the certificates of a production run end: by the rules of the profile, and by others."""
        given = ProductionRunSerializer(data=request.data, context=self.get_serializer_context())
        given.is_valid(raise_exception=True)
        said = given.validated_data
        fleet: Fleet = said["fleet"]
        first_day = said.get("first_day") or timezone.now().astimezone(UTC).date() + _DAY
        rules = Rules(fleet.profile.validity, fleet.profile.jitter_max)
        validity = said["validity_days"] * _DAY if "validity_days" in said else rules.validity
        wanted = Rules(validity, said["jitter_days"] * _DAY)
        run = Run(said["units_a_day"], said["days"], first_day)
        last = fleet.authority.x509.not_valid_after_utc.date()
        found = compare(run, rules, wanted, issuer_last_day=last)
        return Response(
            {
                "factor": found.factor,
                "clamped": found.clamped,
                "before": _lifetimes(rules, found.before, found.largest_before),
                "after": _lifetimes(wanted, found.after, found.largest_after),
                "existing": _histogram(cliffs.standing_by_day(fleet, found.first_day, found.last_day)),
            }
        )


def _cliff(cliff: cliffs.Cliff, slug: str) -> dict[str, Any]:
    cause = cliff.cause
    return {
        "fleet": slug,
        "day": cliff.day,
        "count": cliff.count,
        "fleet_size": cliff.fleet_size,
        "cause": {"by": cause.axis.value, "id": cause.id, "name": cause.name, "count": cause.count} if cause else None,
    }


def _lifetimes(rules: Rules, histogram: Mapping[date, float], largest: tuple[date, float]) -> dict[str, Any]:
    shown = serializers.DurationField()
    return {
        "validity": shown.to_representation(rules.validity),
        "jitter_max": shown.to_representation(rules.jitter_max),
        "largest_day": {"day": largest[0], "count": largest[1]},
        "histogram": _histogram(histogram),
    }


def _histogram(days: Mapping[date, float]) -> list[dict[str, Any]]:
    return [{"day": day, "count": count} for day, count in sorted(days.items())]
