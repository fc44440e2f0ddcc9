import sys
from typing import Any

from django.core.management.base import BaseCommand

from certportal import migration_lint


class Command(BaseCommand):
    help = (
        "Name each migration that would hold up a portal in use, and what to do instead; exit 1 when there is one. "
        "It asks no database. Example: manage.py lint_migrations"
    )
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        found = migration_lint.findings()
        for finding in found:
            self.stderr.write(str(finding))
        if found:
            sys.exit(1)
