"""Campaigns over the API: read and filter, with their targets."""

from datetime import datetime
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers

from inventory.api.exports import ExportMixin
from inventory.api.rest.read_views import ListViewSet, ReadViewSet
from inventory.api.rest.references import ID, CertificateReferenceSerializer, DeviceReferenceSerializer, NameOf, SlugOf
from inventory.models import fleets_of
from renewal import target_counts
from renewal.exporting import TARGETS
from renewal.filters import CampaignFilter, TargetFilter
from renewal.models import Campaign, Channel, Target, TargetReason, Wave


class TargetCountsSerializer(serializers.Serializer[dict[str, int]]):
    """How many devices of the campaign are in each state."""

    planned = serializers.IntegerField()
    triggered = serializers.IntegerField()
    acknowledged = serializers.IntegerField()
    issued = serializers.IntegerField()
    confirmed = serializers.IntegerField()
    escalated = serializers.IntegerField()
    failed = serializers.IntegerField()
    withdrawn = serializers.IntegerField()


class WaveSerializer(serializers.ModelSerializer[Wave]):
    class Meta:
        model = Wave
        fields = ["number", "size", "first_end", "opened_at", "opened_by"]
        read_only_fields = fields


class BreachSerializer(serializers.Serializer[dict[str, int]]):
    """A wave in which too many of those that answered failed; wave 0: the campaign is not cut."""

    wave = serializers.IntegerField()
    failed = serializers.IntegerField()
    answered = serializers.IntegerField()


class CampaignSerializer(serializers.ModelSerializer[Campaign]):
    fleet = SlugOf()
    site = NameOf(allow_null=True, help_text="The only site that it is for")
    batch = NameOf(allow_null=True, help_text="The only manufacturing batch that it is for")
    joins_within = serializers.DurationField(
        allow_null=True,
        read_only=True,
        help_text="Evergreen: how long before its certificate ends a device joins",
    )
    targets = TargetCountsSerializer(source="target_counts", read_only=True)
    waves = WaveSerializer(many=True, read_only=True, help_text="Number 0: the campaign is not cut")
    paused_because = BreachSerializer(many=True, read_only=True, help_text="Why it paused itself, empty if it did not")

    class Meta:
        model = Campaign
        fields = [
            "id",
            "name",
            "fleet",
            "state",
            "expires_from",
            "expires_before",
            "site",
            "batch",
            "joins_within",
            "due_at",
            "ladder",
            "triggers_per_minute",
            "triggers_per_minute_and_site",
            "window_from",
            "window_to",
            "sms_budget",
            "sms_used",
            "canary",
            "wave_size",
            "failures_to_open",
            "failures_to_pause",
            "paused_because",
            "created_at",
            "created_by",
            "started_at",
            "paused_at",
            "finished_at",
            "ticked_at",
            "waves",
            "targets",
        ]
        read_only_fields = fields


class TargetSerializer(serializers.ModelSerializer[Target]):
    device = DeviceReferenceSerializer(read_only=True)
    certificate = CertificateReferenceSerializer(read_only=True, help_text="The certificate to be replaced")
    renewed_certificate = CertificateReferenceSerializer(
        read_only=True, allow_null=True, help_text="The certificate that replaces it"
    )
    # Empty where the state says it all, and where nothing is to be sent.
    reason = serializers.ChoiceField(TargetReason.choices, allow_blank=True, read_only=True)
    channel = serializers.ChoiceField(Channel.choices, allow_blank=True, read_only=True)
    next_step_at = serializers.SerializerMethodField(help_text="Null: no step is due, or the campaign is paused")

    class Meta:
        model = Target
        fields = [
            "id",
            "device",
            "certificate",
            "renewed_certificate",
            "state",
            "reason",
            "refusal",
            "wave",
            "ends_at",
            "attempts_made",
            "channel",
            "next_step_at",
            "triggered_at",
            "acknowledged_at",
            "issued_at",
            "confirmed_at",
            "escalated_at",
        ]
        read_only_fields = fields

    def get_next_step_at(self, target: Target) -> datetime | None:
        return target.next_step_by_wall_clock


class CampaignViewSet(ReadViewSet[Campaign]):
    """Campaigns: chosen devices, brought to their next certificate before the old one ends."""

    resource = "campaigns"
    queryset = Campaign.objects.select_related("fleet", "site", "batch").prefetch_related("waves")
    serializer_class = CampaignSerializer
    filterset_class = CampaignFilter
    orderings = ("-id", "id")
    lookup_value_regex = ID

    def paginate_queryset(self, queryset: Any) -> list[Any]:
        return _counted(super().paginate_queryset(queryset) or [])

    def get_object(self) -> Campaign:
        return _counted([super().get_object()])[0]


def _counted(campaigns: list[Any]) -> list[Campaign]:
    """Give each campaign its `target_counts`, in one query for all."""
    counts = target_counts.by_state(campaigns)
    for campaign in campaigns:
        campaign.target_counts = counts[campaign.pk]
    return campaigns


@extend_schema(parameters=[OpenApiParameter("campaign_id", OpenApiTypes.INT, OpenApiParameter.PATH)])
class TargetViewSet(ExportMixin, ListViewSet[Target]):
    """The targets of one campaign: how far each of its devices has come."""

    listing = TARGETS
    resource = "campaigns"
    queryset = Target.objects.select_related("campaign", "device__fleet", "certificate", "renewed_certificate").defer(
        "certificate__der", "renewed_certificate__der"
    )
    serializer_class = TargetSerializer
    filterset_class = TargetFilter
    # A device is in a campaign once, and (campaign, device) is an index.
    orderings = ("device_id", "-device_id")

    def filter_queryset(self, queryset: Any) -> Any:
        seen = Campaign.objects.of_fleets(fleets_of(self.request.user))
        campaign = get_object_or_404(seen, pk=self.kwargs["campaign_id"])
        return super().filter_queryset(queryset).filter(campaign=campaign)
