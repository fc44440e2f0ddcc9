"""`manage.py cron`: put every periodic job into its queue when it is due."""

import logging
from typing import Any

import django_rq
from django.core.management.base import BaseCommand
from django.db import connection

from certportal import cron

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = (
        "Enqueues the periodic jobs. Start as many as you like, on any host: one works, the others wait for it to end. "
        "Example: manage.py cron"
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        scheduler = cron.scheduler(cron.PERIODIC_JOBS, django_rq.get_connection("default"))
        try:
            cron.take_lock(waiting=lambda: log.info("Another cron works; waiting for it to end."))
            scheduler.start()  # type: ignore[no-untyped-call]  # RQ's has no type hints
        except KeyboardInterrupt:
            return
        finally:
            # Ends the session, and with it the lock.
            connection.close()
