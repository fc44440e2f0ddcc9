import contextlib
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from inventory.audit.record import Actor
from inventory.management.plain_errors import PlainErrorsCommand
from inventory.models import Fleet
from inventory.models.audit import ActorKind
from inventory.sightings import MOST_IN_A_BATCH, logs, record_sightings
from inventory.sightings.tailing import LogTail, state_file

log = structlog.get_logger(__name__)

_SECONDS_BETWEEN_READS = 0.5


class Command(PlainErrorsCommand):
    help = (
        "Follow a log of nginx or Mosquitto and note which devices authenticated. It goes on where it stopped. "
        "Example: manage.py tail_sightings /var/log/nginx/certportal.log --format nginx"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--format", required=True, choices=["nginx", "mosquitto"])
        parser.add_argument("--fleet", metavar="SLUG", help="fleet of the devices; needed with mosquitto")
        parser.add_argument("--once", action="store_true", help="end at the end of the log")

    def handle(self, *args: Any, **options: Any) -> None:
        read_line = self._reader(options["format"], options["fleet"])
        path: Path = options["file"]
        # Who reports, in the audit log: the name of the file says which gateway.
        actor = Actor(ActorKind.SYSTEM, f"tail_sightings {path}")
        stopping = threading.Event()
        handlers = {
            number: signal.signal(number, lambda _number, _frame: stopping.set())
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            self._follow(path, read_line, actor, once=options["once"], stopping=stopping)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _follow(
        self, path: Path, read_line: logs.LineReader, actor: Actor, *, once: bool, stopping: threading.Event
    ) -> None:
        try:
            tail = LogTail(path, state_file(settings.HOME, path))
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}. Name a log file that is there.") from error
        with contextlib.closing(tail):
            # Else a rotation before the first line would go unnoticed by the next start.
            tail.keep()
            while not stopping.is_set():
                lines = tail.read()
                found = [sighting for line in lines if (sighting := read_line(line))]
                outcomes: Counter[str] = Counter()
                for start in range(0, len(found), MOST_IN_A_BATCH):
                    results = record_sightings(found[start : start + MOST_IN_A_BATCH], timezone.now(), actor)
                    outcomes.update(result.outcome.value for result in results)
                if lines:
                    tail.keep()
                    log.info("log read", path=str(path), lines=len(lines), **outcomes)
                elif once and tail.drained:
                    return
                else:
                    stopping.wait(_SECONDS_BETWEEN_READS)

    def _reader(self, form: str, fleet: str | None) -> logs.LineReader:
        if form == "nginx":
            return logs.nginx
        if fleet is None or not Fleet.objects.filter(slug=fleet).exists():
            raise CommandError("Mosquitto's log names devices alone: give their fleet, --fleet SLUG, one that exists.")
        return logs.mosquitto(fleet)
