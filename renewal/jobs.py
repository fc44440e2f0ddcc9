"""Jobs of the renewal package, for RQ workers. Losing the queue loses nothing: each finds its work in the rows."""

import contextlib
from dataclasses import asdict

import django_rq
import structlog
from django.conf import settings
from django.utils import timezone
from rq.exceptions import DuplicateJobError

from renewal.campaigns.ticking import tick
from renewal.channels.mqtt import Broker, MqttChannel
from renewal.models import Campaign, CampaignState

log = structlog.get_logger(__name__)


_OPEN = (CampaignState.RUNNING, CampaignState.PAUSED)
_FAILED_WAITS_SECONDS = 60


def tick_campaigns() -> None:
    """Enqueue a tick of every campaign that runs or is paused (devices go on while it is).

    Each has a job of its own, so one that fails or takes long does not hold up the others; while its job waits, runs
    or has just failed, no second one is made.
    """
    queue = django_rq.get_queue("default")
    for campaign in Campaign.objects.filter(state__in=_OPEN).values_list("pk", flat=True).order_by("pk"):
        with contextlib.suppress(DuplicateJobError):
            queue.enqueue(
                tick_campaign,
                campaign,
                job_id=f"tick-campaign-{campaign}",
                unique=True,
                result_ttl=0,
                failure_ttl=_FAILED_WAITS_SECONDS,
            )


def tick_campaign(pk: int) -> None:
    """Tick one campaign, unless it ended meanwhile."""
    campaign = Campaign.objects.filter(pk=pk, state__in=_OPEN).select_related("fleet").first()
    if campaign is None:
        return
    report = tick(campaign, timezone.now(), MqttChannel(Broker.from_url(settings.MQTT_BROKER_URL)))
    log.info("campaign ticked", campaign=pk, report=asdict(report))
