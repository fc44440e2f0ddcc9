import signal
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from inventory.audit.record import Actor
from inventory.models.audit import ActorKind
from inventory.sightings import Sighting, SightingOutcome, record_sightings
from renewal.channels.acknowledgements import Acknowledged, Acknowledgements
from renewal.channels.listening import Inbox, Listener
from renewal.channels.mqtt import Broker
from renewal.channels.seen import Sightings

log = structlog.get_logger(__name__)

_ACTOR = Actor(ActorKind.SYSTEM, "listen_sightings")


class Command(BaseCommand):
    help = (
        "Note what devices tell over MQTT: sightings on certportal/FLEET/MQTT_ID/seen, and that they have a trigger on "
        "certportal/FLEET/MQTT_ID/ack. Example: manage.py listen_sightings"
    )

    def handle(self, *args: Any, **options: Any) -> None:
        inboxes: list[Inbox] = [Sightings(_record), Acknowledgements(_tell)]
        listener = Listener(Broker.from_url(settings.MQTT_BROKER_URL), inboxes, timezone.now)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: listener.stop())
        listener.run()


def _record(sightings: Sequence[Sighting]) -> None:
    for sighting, result in zip(sightings, record_sightings(sightings, timezone.now(), _ACTOR), strict=True):
        if result.outcome is SightingOutcome.REFUSED:
            log.warning("sighting refused", device=str(sighting.only), reason=result.reason)


def _tell(acknowledged: Acknowledged) -> None:
    log.info("triggers acknowledged", **asdict(acknowledged))
