import json
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from inventory.audit.record import SYSTEM
from inventory.management.plain_errors import PlainErrorsCommand
from inventory.models import Device
from renewal import secrets
from renewal.models import EnrolmentProtocol


class Command(PlainErrorsCommand):
    help = (
        "Print a new one-time enrolment secret of a device, once. "
        "Example: manage.py enrolment_secret SM000001 --fleet demo --protocol est"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("serial")
        parser.add_argument("--fleet", required=True, metavar="SLUG")
        parser.add_argument("--protocol", required=True, choices=EnrolmentProtocol.values)
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        device = Device.objects.filter(fleet__slug=options["fleet"], serial=options["serial"]).first()
        if device is None:
            raise CommandError(f"There is no device {options['serial']!r} in fleet {options['fleet']!r}.")
        protocol = EnrolmentProtocol(options["protocol"])
        secret = secrets.create(device, protocol, now=timezone.now(), actor=SYSTEM)
        if options["json"]:
            self.stdout.write(json.dumps({"serial": device.serial, "protocol": protocol, "secret": secret}))
        else:
            self.stdout.write(secret)
