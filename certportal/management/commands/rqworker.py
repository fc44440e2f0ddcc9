"""`manage.py rqworker`: django-rq's worker, which reads jobs as they are written here, as JSON."""

from django.conf import settings
from django.core.management.base import CommandParser
from django_rq.management.commands import rqworker


class Command(rqworker.Command):  # type: ignore[misc]  # django-rq carries no types
    help = "Runs the jobs of queues, the first queue first. Example: manage.py rqworker --with-scheduler urgent default"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        # Its own default is pickle, whatever the queues say.
        parser.set_defaults(serializer=settings.RQ_SERIALIZER)
