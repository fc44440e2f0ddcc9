"""Jobs of the renewal package, for RQ workers. Losing the queue loses nothing: each finds its work in the rows."""

from dataclasses import asdict

import structlog
from django.conf import settings
from django.utils import timezone

from inventory.alerts.conditions import report
from inventory.job_claims import Claim
from inventory.models import AlertKind
from renewal import brakes, coverage_counts
from renewal.campaigns.ticking import tick
from renewal.channels import receipts, trouble
from renewal.channels.mqtt import Broker, MqttChannel
from renewal.models import Campaign, CampaignState

log = structlog.get_logger(__name__)


_OPEN = (CampaignState.RUNNING, CampaignState.PAUSED)
_QUEUE = "default"
_FAILURES_KEPT_SECONDS = 3600


def _claim(campaign: int) -> Claim:
    return Claim(_QUEUE, f"tick campaign {campaign}")


def tick_campaigns() -> None:
    """Enqueue a tick of every campaign that runs or is paused (devices go on while it is).

    Each has a job of its own, so one that fails or takes long does not hold up the others.
    """
    for campaign in Campaign.objects.filter(state__in=_OPEN).values_list("pk", flat=True).order_by("pk"):
        _claim(campaign).enqueue("renewal.jobs.tick_campaign", campaign, failure_ttl=_FAILURES_KEPT_SECONDS)


def tick_campaign(pk: int) -> None:
    """Tick one campaign, unless it ended meanwhile."""
    _claim(pk).begin()
    campaign = Campaign.objects.filter(pk=pk, state__in=_OPEN).select_related("fleet").first()
    if campaign is None:
        return
    ticked = tick(campaign, timezone.now(), MqttChannel(Broker.from_url(settings.MQTT_BROKER_URL)))
    if ticked is None:
        # The tick before takes long, as with a broker that is slow to answer; the next one comes in seconds.
        return
    log.info("campaign ticked", campaign=pk, report=asdict(ticked))


def report_channel_trouble() -> None:
    """Raise an alert for each channel that takes no messages, and settle those of the others."""
    now = timezone.now()
    report([AlertKind.CHANNEL], trouble.concerns(now), now)


def match_early_receipts() -> None:
    """Write down the receipts of messages that were written down after them."""
    noted = receipts.match_early(timezone.now())
    if noted.written:
        log.info("early receipts matched", **asdict(noted))


def count_coverage() -> None:
    """Count how much of what ends is renewed or in a campaign, for the dashboard."""
    coverage_counts.begin_count()
    now = timezone.now()
    if coverage_counts.count_anew(now):
        coverage_counts.note_count(now, timezone.now() - now)


def tell_refusals() -> None:
    """Put what was counted of refused requests into the audit log."""
    told = brakes.tell(timezone.now())
    if told:
        log.info("refusals told", networks=told)
