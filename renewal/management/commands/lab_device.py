import json
from argparse import ArgumentTypeError
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import DataError, IntegrityError
from django.utils import timezone

from inventory.audit.record import SYSTEM
from inventory.issuing.certificates import ProfileUnusable
from inventory.issuing.keys.software import KeyUnavailable
from inventory.issuing.lifetimes import IssuerTooOld
from inventory.management.plain_errors import PlainErrorsCommand
from inventory.models import Fleet
from renewal.simulation.lab import LabPlan, make

_OBSTACLES = (DataError, IntegrityError, IssuerTooOld, KeyUnavailable, OSError, OverflowError, ProfileUnusable)


def _days(text: str) -> timedelta:
    try:
        return timedelta(days=float(text))
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError(f"{text!r} is not a number of days.") from error


def _some_days(text: str) -> timedelta:
    days = _days(text)
    if days < timedelta(seconds=1):
        raise ArgumentTypeError(f"A certificate of {text} days would end before it began.")
    return days


class Command(PlainErrorsCommand):
    help = (
        "Make a device with key and certificate for benches and tests. Needs CERTPORTAL_LAB=1. "
        "Example: manage.py lab_device LAB-1 --fleet demo --out /tmp/lab-1 --expires-in 30"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("serial")
        parser.add_argument("--fleet", required=True, metavar="SLUG")
        parser.add_argument("--out", required=True, type=Path, metavar="DIR")
        parser.add_argument("--validity-days", type=_some_days, metavar="N", help="instead of the profile's validity")
        parser.add_argument(
            "--expires-in",
            type=_days,
            metavar="DAYS",
            help="issue it in the past so that it ends then; may be negative",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.LAB:
            raise CommandError("lab_device makes keys that no device holds; set CERTPORTAL_LAB=1 to allow it.")
        fleet = Fleet.objects.select_related("profile", "authority__certificate").filter(slug=options["fleet"]).first()
        if fleet is None:
            raise CommandError(f"There is no fleet {options['fleet']!r}.")
        plan = LabPlan(options["serial"], fleet, options["validity_days"], options["expires_in"])
        try:
            certificate = make(plan, options["out"], now=timezone.now(), actor=SYSTEM)
        except _OBSTACLES as error:
            raise CommandError(f"Device {plan.serial!r} cannot be made: {error}") from error
        facts = {
            "serial": plan.serial,
            "certificate": certificate.serial,
            "expires": certificate.not_after.isoformat(),
            "directory": str(options["out"]),
        }
        self.stdout.write(json.dumps(facts) if options["json"] else "\n".join(f"{k}: {v}" for k, v in facts.items()))
