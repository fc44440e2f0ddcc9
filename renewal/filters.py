"""What lists of campaigns, of their targets, of work orders and of gateways can be narrowed by."""

from typing import Any

from django_filters import rest_framework as filters

from inventory.lists.filters import NameFilter, SlugFilter, after, before
from inventory.models import Batch, Fleet, Site
from renewal.models import (
    Campaign,
    CampaignState,
    Channel,
    DeviceNote,
    Driver,
    Gateway,
    Outcome,
    Target,
    TargetState,
    Team,
    WorkOrder,
)


class CampaignFilter(filters.FilterSet):
    fleet = SlugFilter(queryset=Fleet.objects.all(), help_text="Slug of the fleet")
    state = filters.ChoiceFilter(choices=CampaignState.choices)

    class Meta:
        model = Campaign
        fields: list[str] = []


class TargetFilter(filters.FilterSet):
    state = filters.ChoiceFilter(choices=TargetState.choices)
    wave = filters.NumberFilter(min_value=0, max_value=32767, decimal_places=0, help_text="Number of the wave")
    device = filters.CharFilter(field_name="device__serial", help_text="Serial number of the device, exactly")
    batch = NameFilter(
        field_name="device__batch", queryset=Batch.objects.all(), help_text="Name of the device's manufacturing batch"
    )
    site = NameFilter(field_name="device__site", queryset=Site.objects.all(), help_text="Name of the device's site")

    class Meta:
        model = Target
        fields: list[str] = []


_OPEN, _CLOSED = "open", "closed"


class WorkOrderFilter(filters.FilterSet):
    state = filters.ChoiceFilter(choices=[(_OPEN, _OPEN), (_CLOSED, _CLOSED)], method="filter_state")
    outcome = filters.ChoiceFilter(choices=Outcome.choices)
    fleet = SlugFilter(field_name="device__fleet", queryset=Fleet.objects.all(), help_text="Slug of the device's fleet")
    site = NameFilter(field_name="device__site", queryset=Site.objects.all(), help_text="Name of the device's site")
    device = filters.CharFilter(field_name="device__serial", help_text="Serial number of the device, exactly")
    team = NameFilter(queryset=Team.objects.all(), help_text="Name of the team that it is assigned to")
    assigned_to = filters.CharFilter(field_name="assigned_to__username", help_text="User name, exactly")
    due_after = after("due_at", "Due")
    due_before = before("due_at", "Due")

    class Meta:
        model = WorkOrder
        fields: list[str] = []

    def filter_state(self, orders: Any, name: str, value: str) -> Any:
        return orders.open() if value == _OPEN else orders.filter(closed_at__isnull=False)


class TeamFilter(filters.FilterSet):
    fleet = SlugFilter(queryset=Fleet.objects.all(), help_text="Slug of the fleet")

    class Meta:
        model = Team
        fields: list[str] = []


class DeviceNoteFilter(filters.FilterSet):
    fleet = SlugFilter(field_name="device__fleet", queryset=Fleet.objects.all(), help_text="Slug of the device's fleet")
    device = filters.CharFilter(field_name="device__serial", help_text="Serial number of the device, exactly")

    class Meta:
        model = DeviceNote
        fields: list[str] = []


class GatewayFilter(filters.FilterSet):
    channel = filters.ChoiceFilter(choices=Channel.choices)
    driver = filters.ChoiceFilter(choices=Driver.choices)
    fleet = SlugFilter(queryset=Fleet.objects.all(), help_text="Slug of the fleet that it serves alone")

    class Meta:
        model = Gateway
        fields: list[str] = []
