"""Jobs of the renewal package, for RQ workers. Losing the queue loses nothing: each finds its work in the rows."""

import structlog
from django.conf import settings
from django.utils import timezone

from renewal.campaigns.ticking import tick
from renewal.channels.mqtt import Broker, MqttChannel
from renewal.models import Campaign, CampaignState

log = structlog.get_logger(__name__)


def tick_campaigns() -> None:
    """Tick every campaign that runs or is paused (devices go on while it is)."""
    channel = MqttChannel(Broker.from_url(settings.MQTT_BROKER_URL))
    open_states = (CampaignState.RUNNING, CampaignState.PAUSED)
    for campaign in Campaign.objects.filter(state__in=open_states).select_related("fleet").order_by("pk"):
        report = tick(campaign, timezone.now(), channel)
        log.info("campaign ticked", campaign=campaign.pk, report=report)
