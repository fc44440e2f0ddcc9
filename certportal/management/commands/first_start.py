"""`manage.py first_start`: bring database, static files and first contents to the state this release needs."""

from datetime import UTC, datetime
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from certportal import first_start


class Command(BaseCommand):
    help = (
        "Migrates the database, collects the static files and makes the first contents. Idempotent; "
        "`manage.py up` runs it, a deployment of separate processes runs it once a release. "
        "Example: manage.py first_start"
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        self.stdout.write("Bringing the database up to date ...")
        call_command("migrate", interactive=False, verbosity=0)
        self.stdout.write("Collecting static files ...")
        call_command("collectstatic", interactive=False, verbosity=0)
        first_start.prepare(datetime.now(UTC), self.stdout.write)
