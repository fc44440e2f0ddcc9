"""Commands whose errors are sentences."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError


class PlainErrorsCommand(BaseCommand):
    """Prints an error as its sentence alone: Django puts the name of the exception's class before it.

    Called from Python it raises CommandError, as every command does.
    """

    _from_shell = False

    def run_from_argv(self, argv: list[str]) -> None:
        self._from_shell = True
        super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except CommandError as error:
            if not self._from_shell or options["traceback"]:
                raise
            self.stderr.write(str(error))
            sys.exit(error.returncode)
