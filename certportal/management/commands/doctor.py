import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from certportal.health import examine


class Command(BaseCommand):
    help = (
        "Check stores, workers, cron, CRLs, own certificates and clock; exit 1 with a list when something is wrong. "
        "Example: manage.py doctor"
    )
    # It must be able to say what is wrong with a portal that does not pass them.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = examine(timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps([asdict(finding) for finding in findings], indent=2))
        else:
            for finding in findings:
                mark = "WRONG" if finding.problem else "ok"
                self.stdout.write(f"{mark:5}  {finding.check}: {finding.problem or finding.fact}")
        if any(finding.problem for finding in findings):
            sys.exit(1)
