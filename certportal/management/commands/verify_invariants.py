"""`manage.py verify_invariants`: ask everything that must hold, and name each row that breaks it."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from certportal.invariants import INVARIANTS, violations


class Command(BaseCommand):
    help = (
        "Compare rows, counters, audit log and CRL files with what must hold of them; name each row that breaks it and "
        "exit 1. It reads whole tables. Example: manage.py verify_invariants"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the violations as a list of objects")

    def handle(self, *args: Any, **options: Any) -> None:
        found = violations(timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps([asdict(each) for each in found], indent=1))
        else:
            for each in found:
                self.stdout.write(f"{each.invariant}: {each.row}")
        if found:
            raise CommandError(f"Broken invariants: {len({each.invariant for each in found})}.", returncode=1)
        if not options["json"]:
            self.stdout.write(f"All {len(INVARIANTS)} invariants hold.")
