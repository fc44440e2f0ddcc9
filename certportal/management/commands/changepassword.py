"""`manage.py changepassword`, as Django's, and told in the audit log."""

import getpass
from typing import Any

from django.contrib.auth.management.commands import changepassword
from django.db import transaction
from django.utils import timezone

from certportal.credentials import record_password
from certportal.models import User
from inventory.audit.record import SYSTEM


class Command(changepassword.Command):
    def handle(self, *args: Any, **options: Any) -> str | None:
        with transaction.atomic():  # no lock is held while somebody types
            done: str | None = super().handle(*args, **options)
            user = User.objects.get(username=options["username"] or getpass.getuser())
            record_password(user, now=timezone.now(), actor=SYSTEM)
        return done
