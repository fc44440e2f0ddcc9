"""When certificates end, over the API: counts by day and group, cliffs, and what jitter would make of a production run.

All of it is read from counters: an answer costs the same for a thousand certificates and for millions.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, timedelta
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.helpers import forced_singular_serializer
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from inventory.counters import reading
from inventory.expiry import HORIZON, cliffs
from inventory.jitter.expectation import Rules, Run, expected, factor, largest
from inventory.models import Authority, Axis, Batch, Certificate, Fleet, Profile, Site

_DAY = timedelta(days=1)
_NAMES: Mapping[Axis, tuple[type[models.Model], str]] = {
    Axis.FLEET: (Fleet, "slug"),
    Axis.SITE: (Site, "name"),
    Axis.BATCH: (Batch, "name"),
    Axis.PROFILE: (Profile, "slug"),
    Axis.AUTHORITY: (Authority, "slug"),
}
_DEFAULT_DAYS = 90
# Beyond any certificate, and far enough from the last day there is to count on from it.
_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(9000, 1, 1)


class Step(models.TextChoices):
    """What the ends are added up to. A step is named by its first day."""

    DAY = "day", _("day")
    WEEK = "week", _("week, from Monday")
    MONTH = "month", _("month")


class _QuestionSerializer(serializers.Serializer[Any]):
    """The parameters of an address. One that is unknown, repeated or empty is refused, as in lists."""

    def asked(self, request: Request) -> dict[str, Any]:
        """Return what a request asks. Raises ValidationError."""
        faults = {}
        for name, values in request.query_params.lists():
            if name not in self.fields:
                text = f"Not a parameter of this address. Known: {', '.join(self.fields)}."
                faults[name.replace("\x00", "\ufffd")] = [text]
            elif len(values) > 1:
                faults[name] = [f"Given {len(values)} times; give it once."]
            elif "\x00" in values[0] or "\ufffd" in values[0]:
                faults[name] = ["Contains what is no text in UTF-8."]
        if faults:
            raise ValidationError(faults)
        read = type(self)(data=request.query_params.dict())
        read.is_valid(raise_exception=True)
        asked: dict[str, Any] = read.validated_data
        return asked


def _day_field(**kwargs: Any) -> serializers.DateField:
    return serializers.DateField(input_formats=["%Y-%m-%d"], **kwargs)


def _fleet_field(**kwargs: Any) -> serializers.SlugRelatedField[Any]:
    return serializers.SlugRelatedField(slug_field="slug", queryset=Fleet.objects.select_related("profile"), **kwargs)


class CountsQuestionSerializer(_QuestionSerializer):
    axis = serializers.ChoiceField(Axis.choices, default=Axis.FLEET.value, help_text="By what to group")
    fleet = _fleet_field(required=False, help_text="Slug of the one fleet to count")
    start = _day_field(required=False, help_text="The first day; today unless given")
    before = _day_field(required=False, help_text="The day behind the last; 90 days later unless given")
    step = serializers.ChoiceField(Step.choices, default=Step.DAY.value, help_text="What to add up to")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start = attrs.setdefault("start", timezone.now().astimezone(UTC).date())
        if not _FIRST_DAY <= start <= _LAST_DAY:
            raise ValidationError({"start": [f"A day from {_FIRST_DAY} to {_LAST_DAY}."]})
        before = attrs.setdefault("before", start + _DEFAULT_DAYS * _DAY)
        if not start < before <= start + HORIZON:
            raise ValidationError({"before": [f"A day behind {start}, by at most {HORIZON.days} days."]})
        return attrs


class CountSerializer(serializers.Serializer[Any]):
    day = serializers.DateField(help_text="First day of the step, in UTC")
    group = serializers.CharField(allow_null=True, help_text="Slug or name; null for what is in no group")
    group_id = serializers.IntegerField(allow_null=True)
    count = serializers.IntegerField(help_text="Certificates that devices stand on, used or not")


class CountsSerializer(serializers.Serializer[Any]):
    axis = serializers.ChoiceField(Axis.choices)
    step = serializers.ChoiceField(Step.choices)
    start = serializers.DateField()
    before = serializers.DateField()
    total = serializers.IntegerField()
    counts = CountSerializer(many=True, help_text="By day, then by group; what is nothing is left out")


class CliffsQuestionSerializer(_QuestionSerializer):
    fleet = _fleet_field(required=False, help_text="Slug of the one fleet to look at")


class CauseSerializer(serializers.Serializer[Any]):
    axis = serializers.ChoiceField(Axis.choices)
    id = serializers.IntegerField()
    name = serializers.CharField()
    count = serializers.IntegerField(help_text="How much of the cliff it is")


class CliffSerializer(serializers.Serializer[Any]):
    fleet = serializers.CharField(source="fleet_name", help_text="Name of the fleet")
    fleet_id = serializers.IntegerField()
    day = serializers.DateField()
    count = serializers.IntegerField()
    fleet_size = serializers.IntegerField(help_text="Devices of the fleet")
    share = serializers.FloatField(help_text="Of the fleet, from 0 to 1")
    cause = CauseSerializer(allow_null=True, help_text="What most of it has in common")


class CliffsSerializer(serializers.Serializer[Any]):
    cliffs = CliffSerializer(many=True, help_text="The largest first")


class JitterQuestionSerializer(_QuestionSerializer):
    fleet = _fleet_field(help_text="Slug of the fleet that is produced")
    units_a_day = serializers.IntegerField(min_value=1, max_value=10_000_000, help_text="Devices made a day")
    days = serializers.IntegerField(min_value=1, max_value=400, help_text="Days of production")
    first_day = _day_field(required=False, help_text="Tomorrow unless given")
    validity_days = serializers.IntegerField(min_value=1, max_value=20 * 366, help_text="How long each lives, days")
    jitter_days = serializers.IntegerField(min_value=0, max_value=366, help_text="And up to so many days longer")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        first = attrs.setdefault("first_day", timezone.now().astimezone(UTC).date() + _DAY)
        if not _FIRST_DAY <= first <= _LAST_DAY:
            raise ValidationError({"first_day": [f"A day from {_FIRST_DAY} to {_LAST_DAY}."]})
        return attrs


class ExpectedSerializer(serializers.Serializer[Any]):
    day = serializers.DateField()
    count = serializers.FloatField(help_text="How many are expected to end")


class SimulationSerializer(serializers.Serializer[Any]):
    factor = serializers.FloatField(help_text="By what the largest day falls")
    before = ExpectedSerializer(many=True, help_text="As the profile of the fleet stands")
    after = ExpectedSerializer(many=True, help_text="As asked")
    largest_before = ExpectedSerializer()
    largest_after = ExpectedSerializer()
    clamped = serializers.BooleanField(help_text="Some would outlive their issuer, and end with it on one day")


class ExpiryViewSet(GenericViewSet[Certificate]):
    """Expiry: how many certificates end when, where too many do, and how jitter would spread them."""

    resource = "expiry"
    queryset = Certificate.objects.none()
    pagination_class = None
    filter_backends = []

    @extend_schema(parameters=[CountsQuestionSerializer], responses=forced_singular_serializer(CountsSerializer))
    def list(self, request: Request) -> Response:
        """Count the certificates that end in each step of a span, by group. Days are days of UTC."""
        asked = CountsQuestionSerializer().asked(request)
        axis, fleet = Axis(asked["axis"]), asked.get("fleet")
        found = reading.histogram(axis, asked["start"], asked["before"], fleet_id=fleet.pk if fleet else None)
        steps: Counter[tuple[date, int | None]] = Counter()
        for group, day, count in found:
            steps[max(_first_day(day, asked["step"]), asked["start"]), group] += count
        names = _names(axis, {group for _day, group in steps if group is not None})
        counts = [
            {"day": day, "group": names.get(group), "group_id": group, "count": count}
            for (day, group), count in sorted(steps.items(), key=lambda item: (item[0][0], item[0][1] or 0))
        ]
        shown = {**asked, "axis": axis, "total": sum(steps.values()), "counts": counts}
        return Response(CountsSerializer(shown).data)

    @extend_schema(parameters=[CliffsQuestionSerializer], responses=CliffsSerializer)
    @action(detail=False)
    def cliffs(self, request: Request) -> Response:
        """Name the days to come on which too much of a fleet ends at once, each with its cause."""
        fleet = CliffsQuestionSerializer().asked(request).get("fleet")
        found = cliffs(timezone.now(), fleet.pk if fleet else None)
        return Response(CliffsSerializer({"cliffs": found}).data)

    @extend_schema(parameters=[JitterQuestionSerializer], responses=SimulationSerializer)
    @action(detail=False)
    def jitter(self, request: Request) -> Response:
        """Tell when the certificates of a production run would end, as the profile stands and with other lifetimes."""
        asked = JitterQuestionSerializer().asked(request)
        fleet = asked["fleet"]
        run = Run(asked["units_a_day"], asked["days"], asked["first_day"])
        issuer_ends = fleet.authority.x509.not_valid_after_utc.date()
        before, after = (
            expected(run, rules, issuer_last_day=issuer_ends)
            for rules in (
                Rules(fleet.profile.validity, fleet.profile.jitter_max),
                Rules(asked["validity_days"] * _DAY, asked["jitter_days"] * _DAY),
            )
        )
        shown = {
            "factor": factor(before, after),
            "before": _expected(before),
            "after": _expected(after),
            "largest_before": dict(zip(("day", "count"), largest(before), strict=True)),
            "largest_after": dict(zip(("day", "count"), largest(after), strict=True)),
            "clamped": issuer_ends in after,
        }
        return Response(SimulationSerializer(shown).data)


def _first_day(day: date, step: str) -> date:
    match Step(step):
        case Step.DAY:
            return day
        case Step.WEEK:
            return day - day.weekday() * _DAY
        case Step.MONTH:
            return day.replace(day=1)


def _names(axis: Axis, groups: set[int]) -> dict[int | None, str]:
    model, column = _NAMES[axis]
    return dict(model._default_manager.filter(pk__in=groups).values_list("pk", column))


def _expected(histogram: Mapping[date, float]) -> list[dict[str, Any]]:
    return [{"day": day, "count": count} for day, count in sorted(histogram.items())]
