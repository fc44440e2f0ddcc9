"""What lists of campaigns, of their targets and of gateways can be narrowed by."""

from django_filters import rest_framework as filters

from inventory.lists.filters import NameFilter, SlugFilter
from inventory.models import Batch, Fleet, Site
from renewal.models import Campaign, CampaignState, Channel, Driver, Gateway, Target, TargetState


class CampaignFilter(filters.FilterSet):
    fleet = SlugFilter(queryset=Fleet.objects.all(), help_text="Slug of the fleet")
    state = filters.ChoiceFilter(choices=CampaignState.choices)

    class Meta:
        model = Campaign
        fields: list[str] = []


class TargetFilter(filters.FilterSet):
    state = filters.ChoiceFilter(choices=TargetState.choices)
    device = filters.CharFilter(field_name="device__serial", help_text="Serial number of the device, exactly")
    batch = NameFilter(
        field_name="device__batch", queryset=Batch.objects.all(), help_text="Name of the device's manufacturing batch"
    )
    site = NameFilter(field_name="device__site", queryset=Site.objects.all(), help_text="Name of the device's site")

    class Meta:
        model = Target
        fields: list[str] = []


class GatewayFilter(filters.FilterSet):
    channel = filters.ChoiceFilter(choices=Channel.choices)
    driver = filters.ChoiceFilter(choices=Driver.choices)
    fleet = SlugFilter(queryset=Fleet.objects.all(), help_text="Slug of the fleet that it serves alone")

    class Meta:
        model = Gateway
        fields: list[str] = []
