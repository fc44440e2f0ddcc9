"""`manage.py createsuperuser`, as Django's, and told in the audit log."""

from typing import Any

from django.contrib.auth.management.commands import createsuperuser
from django.db import transaction
from django.utils import timezone

from certportal import credentials
from certportal.models import User
from inventory.audit.record import SYSTEM


class Command(createsuperuser.Command):
    def handle(self, *args: Any, **options: Any) -> str | None:
        with transaction.atomic():
            newest = User.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
            done: str | None = super().handle(*args, **options)
            # Django's command asks for the name itself and does not say which it was given.
            for user in User.objects.filter(pk__gt=newest, is_superuser=True):
                now = timezone.now()
                credentials.record_password(user, now=now, actor=SYSTEM)
                credentials.record_rights(user, None, now=now, actor=SYSTEM)
        return done
