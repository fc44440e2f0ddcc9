import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from renewal.channels.mqtt import Broker
from renewal.simulation.demo_fleet import live_meters
from renewal.simulation.live_devices import LiveMeters


class Command(BaseCommand):
    help = "Run the live meters of the demo fleet. Example: manage.py demo_devices"

    def handle(self, *args: Any, **options: Any) -> None:
        meters = LiveMeters(
            live_meters(settings.HOME), Broker.from_url(settings.MQTT_BROKER_URL), settings.HOME / "tls" / "root.pem"
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: meters.stop())
        meters.run()
