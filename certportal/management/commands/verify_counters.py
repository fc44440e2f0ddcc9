"""`manage.py verify_counters`: compare every counter with the rows it counts."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from inventory.counters import checking
from inventory.counters.checking import Difference
from inventory.management.plain_errors import PlainErrorsCommand
from renewal import target_counts


class Command(PlainErrorsCommand):
    help = (
        "Compare the counters of certificates, devices and targets with GROUP BY, each in one snapshot; name each that "
        "differs and exit 1. Example: manage.py verify_counters --repair"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repair", action="store_true", help="put right what is wrong; no writer waits for it")
        parser.add_argument("--json", action="store_true", help="print the differences as a list of objects")

    def handle(self, *args: Any, **options: Any) -> None:
        found = _differences()
        if options["json"]:
            self.stdout.write(json.dumps([asdict(each) for each in found], indent=1))
        else:
            for each in found:
                self.stdout.write(str(each))
        if not found:
            if not options["json"]:
                self.stdout.write("Every counter equals what it counts.")
            return
        if options["repair"]:
            checking.repair()
            target_counts.repair()
            found = _differences()
            if not found:
                self.stderr.write("Put right: every counter equals what it counts.")
                return
        raise CommandError(f"Wrong counters: {len(found)}. --repair puts them right.", returncode=1)


def _differences() -> list[Difference]:
    return [*checking.differences(), *target_counts.differences()]
