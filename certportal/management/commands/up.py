"""`manage.py up`: the whole portal on one machine, under one supervisor."""

import resource
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from certportal import addresses, home, launch, processes
from certportal.supervisor import StopRequested, Supervisor, dedicated_process
from inventory.management.plain_errors import PlainErrorsCommand

# A crash recovery, or five Python processes that start on one slow core.
_SECONDS_TO_GET_READY = 180.0
# Longer than a plane takes to let go of its listener once its supervisor was killed.
_PATIENCE_AFTER_A_CRASH = 15.0
_MOST_FILES = 1 << 20


class Command(PlainErrorsCommand):
    help = (
        "Starts everything: embedded stores, first-start set-up, portal, device and status plane, workers, cron and "
        "the demo. Ctrl-C stops it; a second start continues where the first stopped. Example: manage.py up"
    )
    requires_system_checks = []
    requires_migrations_checks = False

    def handle(self, *_args: Any, **_options: Any) -> None:
        raise_file_limit()
        try:
            home.prepare(settings.HOME)
            with home.held(settings.HOME) as after_a_crash:
                patience = _PATIENCE_AFTER_A_CRASH if after_a_crash else 0.0
                addresses.refuse_busy(processes.addresses(), patience=patience, clock=time.monotonic)
                processes.settle_demo_broker(self._say, patience=patience, clock=time.monotonic)
                self._run()
        except launch.CannotStart as problem:
            raise CommandError(str(problem)) from problem

    def _run(self) -> None:
        is_first = not self._password_file.exists()
        supervisor = Supervisor(settings.HOME / "log", notice=self._say)
        with dedicated_process(supervisor):
            try:
                supervisor.start(processes.embedded_stores(), within=_SECONDS_TO_GET_READY)
                supervisor.run_once(processes.first_start())
                supervisor.start(processes.portal_processes(), within=_SECONDS_TO_GET_READY)
            except StopRequested:
                return
            self._say(self._welcome(is_first))
            supervisor.run()
            self._say("Stopping ...")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    @property
    def _password_file(self) -> Path:
        return settings.HOME / "admin-password"

    def _password(self, is_first: bool) -> str:
        if settings.ADMIN_PASSWORD:
            return "as set by CERTPORTAL_ADMIN_PASSWORD"
        if not self._password_file.exists():
            return "as set at the first start"
        # What was said among the first lines has scrolled away by now.
        return self._password_file.read_text().strip() if is_first else f"in {self._password_file}"

    def _welcome(self, is_first: bool) -> str:
        portal = f"http://{settings.PORTAL_BIND}"
        password = self._password(is_first)
        lines = [
            "",
            "certportal is running.",
            "",
            f"  Portal        {portal}/admin/   user admin, password {password}",
            f"  API           {portal}/api/docs/",
            f"  Device plane  {settings.PUBLIC_DEVICE_URL}/.well-known/est/",
            f"  Status plane  {settings.PUBLIC_STATUS_URL}",
            f"  Logs          {settings.HOME / 'log'}",
            "",
        ]
        if settings.DEMO_DEVICES > 0:
            lines += [
                "Three things to try:",
                f"  1. Open {portal}/admin/ and click the cliff on the expiry map: these devices run out together.",
                "  2. Open the running campaign and watch live devices renew over EST.",
                "  3. Revoke a certificate with a reason: the next CRL on the status plane, within a minute, lists it.",
                "",
            ]
        return "\n".join([*lines, "Ctrl-C stops everything; the next start continues here."])


def raise_file_limit() -> None:
    """Let this process and its children open as many files as the system permits: each idle device is one."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
