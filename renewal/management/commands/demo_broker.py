from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from renewal.simulation import broker


class Command(BaseCommand):
    help = "Run the MQTT broker of the demo. Example: manage.py demo_broker"

    def handle(self, *args: Any, **options: Any) -> None:
        broker.run(settings.DEMO_MQTT_BIND)
