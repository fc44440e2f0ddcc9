"""Who is told of what, over the API: recipients, policies with their levels, and mutes."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.alerts import acknowledgement
from inventory.api.rest.actors import actor_of
from inventory.api.rest.fields import Flag, Named, RowId, StrictModelSerializer, StrictSerializer, Text, Whole
from inventory.api.rest.parameters import ETAG, IDEMPOTENCY_KEY
from inventory.api.rest.references import CertificateReferenceSerializer, SlugOf
from inventory.api.rest.write_views import ChangeViewSet, WriteViewSet
from inventory.lists.filters import SlugFilter
from inventory.models import (
    AlertLevel,
    AlertPolicy,
    AppliesTo,
    Certificate,
    Channel,
    Fleet,
    Mute,
    Profile,
    Recipient,
    fleets_of,
)

_MOST_LEVELS, _MOST_THRESHOLDS, _MOST_RECIPIENTS = 9, 10, 100
_LONGEST_DAYS = 3650
_LARGEST_NUMBER = (1 << 31) - 1


# --- Recipients ------------------------------------------------------------------------------------------------------


class RecipientFilter(filters.FilterSet):
    channel = filters.ChoiceFilter(choices=Channel.choices)

    class Meta:
        model = Recipient
        fields: list[str] = []


class RecipientSerializer(StrictModelSerializer[Recipient]):
    """The signing secret of a webhook follows from its number; administrators see it in the browser."""

    name = Text(max_length=100)
    address = Text(max_length=500, help_text="An e-mail address, or the URL of a webhook")
    secret_number = Whole(
        min_value=1,
        max_value=_LARGEST_NUMBER,
        required=False,
        help_text="Raise it to replace the signing secret of a webhook",
    )

    class Meta:
        model = Recipient
        fields = ["id", "name", "channel", "address", "secret_number"]


class RecipientViewSet(WriteViewSet[Recipient]):
    """Alert recipients: who gets at most one digest a sweep, and how it travels."""

    resource = "alert-recipients"
    shared = True
    queryset = Recipient.objects.all()
    serializer_class = RecipientSerializer
    filterset_class = RecipientFilter
    orderings = ("id", "-id")


# --- Policies --------------------------------------------------------------------------------------------------------


@extend_schema_field({"type": "array", "items": {"type": "string"}, "maxItems": _MOST_RECIPIENTS})
class RecipientNames(serializers.Field[Any, Any, Any, Any]):
    """Recipients by their names."""

    def to_internal_value(self, data: Any) -> list[Recipient]:
        if not isinstance(data, list) or len(data) > _MOST_RECIPIENTS:
            raise ValidationError([f"A list of at most {_MOST_RECIPIENTS} names of recipients."])
        names = [Text().run_validation(name) for name in data]
        found = list(Recipient.objects.filter(name__in=names))
        if missing := set(names) - {recipient.name for recipient in found}:
            raise ValidationError([f"There is no recipient {min(missing)!r}. Make it first."])
        return found

    def to_representation(self, value: Any) -> list[str]:
        return [recipient.name for recipient in value.all()]


class Span(serializers.DurationField):
    """A duration in ISO 8601, up to ten years."""

    def __init__(self, **kwargs: Any) -> None:
        longest = timedelta(days=_LONGEST_DAYS)
        super().__init__(min_value=timedelta(minutes=1), max_value=longest, **kwargs)

    def to_internal_value(self, value: Any) -> timedelta:
        if not isinstance(value, str):
            self.fail("invalid", format="P7D")
        return super().to_internal_value(value)


class AlertLevelSerializer(StrictSerializer):
    number = Whole(min_value=1, max_value=_MOST_LEVELS)
    recipients = RecipientNames()
    repeat_every = Span(help_text="Told again so often until somebody acknowledges, such as P7D")
    silence = Span(help_text="Unacknowledged for so long, the next level is told")


class AlertPolicyFilter(filters.FilterSet):
    applies_to = filters.ChoiceFilter(choices=AppliesTo.choices)
    fleet = SlugFilter(queryset=Fleet.objects.all(), help_text="Slug of the fleet")

    class Meta:
        model = AlertPolicy
        fields: list[str] = []


class AlertPolicySerializer(StrictModelSerializer[AlertPolicy]):
    name = Text(max_length=100)
    fleet = Named(
        slug_field="slug", queryset=Fleet.objects.all(), allow_null=True, required=False, help_text="Null: all"
    )
    profile = Named(
        slug_field="slug", queryset=Profile.objects.all(), allow_null=True, required=False, help_text="Null: all"
    )
    thresholds = serializers.ListField(
        child=Whole(min_value=0, max_value=_LONGEST_DAYS),
        max_length=_MOST_THRESHOLDS,
        help_text="Days before the end; empty for the portal's own",
    )
    enabled = Flag(required=False)
    levels = AlertLevelSerializer(many=True, help_text="A change replaces all of them")

    class Meta:
        model = AlertPolicy
        fields = ["id", "name", "applies_to", "fleet", "profile", "thresholds", "enabled", "levels"]

    def validate_levels(self, levels: list[dict[str, Any]]) -> list[dict[str, Any]]:
        numbers = [level["number"] for level in levels]
        if len(set(numbers)) < len(numbers):
            raise ValidationError(["Two levels have the same number."])
        return levels

    def update(self, instance: AlertPolicy, validated_data: Any) -> AlertPolicy:
        levels = validated_data.pop("levels", None)
        policy = super().update(instance, validated_data)
        if levels is not None:
            _write_levels(policy, levels)
        return policy


def _write_levels(policy: AlertPolicy, levels: list[dict[str, Any]]) -> None:
    policy.levels.exclude(number__in=[level["number"] for level in levels]).delete()
    for level in levels:
        recipients = level.pop("recipients")
        row, _made = AlertLevel.objects.update_or_create(policy=policy, number=level.pop("number"), defaults=level)
        row.recipients.set(recipients)
    # What was read before belongs to the levels of before.
    policy._prefetched_objects_cache = {}  # type: ignore[attr-defined]  # Django has no other way to forget


class AlertPolicyViewSet(WriteViewSet[AlertPolicy]):
    """Alert policies: at how many days before its end a certificate is an alert, and who is told on which level."""

    resource = "alert-policies"
    shared = True
    queryset = AlertPolicy.objects.select_related("fleet", "profile").prefetch_related("levels__recipients")
    serializer_class = AlertPolicySerializer
    filterset_class = AlertPolicyFilter
    orderings = ("id", "-id")


# --- Mutes -----------------------------------------------------------------------------------------------------------


class MuteFilter(filters.FilterSet):
    fleet = SlugFilter(queryset=Fleet.objects.all(), help_text="Slug of a fleet that is muted as a whole")
    active = filters.ChoiceFilter(choices=[("true", "true"), ("false", "false")], method="filter_active")

    class Meta:
        model = Mute
        fields: list[str] = []

    def __init__(self, *args: Any, now: datetime, **kwargs: Any) -> None:
        self.now = now
        super().__init__(*args, **kwargs)

    def filter_active(self, mutes: Any, name: str, value: str) -> Any:
        return mutes.active(self.now) if value == "true" else mutes.filter(until__lte=self.now)


class MuteSerializer(StrictModelSerializer[Mute]):
    """Only its end can be changed: nearer to end the silence, or further away."""

    certificate = CertificateReferenceSerializer(read_only=True, allow_null=True)
    fleet = SlugOf(allow_null=True)

    class Meta:
        model = Mute
        fields = ["id", "certificate", "fleet", "about", "until", "reason", "created_at", "created_by"]
        read_only_fields = ["id", "about", "reason", "created_at", "created_by"]

    def validate_until(self, until: datetime) -> datetime:
        if self.instance is not None and until <= self.instance.created_at:
            raise ValidationError(["A mute ends after it began; choose a later time."])
        return until


class NewMuteSerializer(StrictSerializer):
    """One of `certificate`, `fleet` and `about`, until when and why."""

    certificate = RowId(required=False, help_text="Id of the certificate")
    fleet = Named(slug_field="slug", queryset=Fleet.objects.all(), required=False)
    about = Text(max_length=600, required=False, help_text="A thing of the portal's own, as its alert names it")
    until = serializers.DateTimeField(help_text="From then on it is told again")
    reason = Text(max_length=500)

    def validate_certificate(self, pk: int) -> Certificate:
        seen = Certificate.objects.of_fleets(fleets_of(self.context["request"].user))
        found = seen.select_related("device").defer("der").filter(pk=pk).first()
        if found is None:
            raise ValidationError(["There is no such certificate."])
        return found

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs.keys() & {"certificate", "fleet", "about"}) != 1:
            raise ValidationError({"certificate": ["Name one of certificate, fleet and about."]})
        if "about" in attrs and fleets_of(self.context["request"].user) is not None:
            raise ValidationError({"about": ["Only people of all fleets mute what is the portal's own."]})
        return attrs


class MuteViewSet(ChangeViewSet[Mute]):
    """Mutes: silence for a while about one certificate, one thing of the portal's own or a whole fleet."""

    resource = "mutes"
    queryset = Mute.objects.select_related("certificate", "fleet").defer("certificate__der")
    serializer_class = MuteSerializer
    filterset_class = MuteFilter
    orderings = ("-id", "id")

    @property
    def filterset_arguments(self) -> dict[str, Any]:
        return {"now": timezone.now()}

    @extend_schema(
        request=NewMuteSerializer, responses={201: MuteSerializer}, parameters=[IDEMPOTENCY_KEY, ETAG], filters=False
    )
    def create(self, request: Request) -> Response:
        """Have silence for a while. It always ends, and the audit log says who wanted it and why."""
        said = NewMuteSerializer(context=self.get_serializer_context()).run_validation(request.data)
        until, reason = said.pop("until"), said.pop("reason")
        try:
            made = acknowledgement.mute_of(
                **said, until=until, reason=reason, now=timezone.now(), actor=actor_of(request)
            )
        except ValueError as error:
            raise ValidationError({"until": [str(error)]}) from None
        return self._shown(made, status.HTTP_201_CREATED)
