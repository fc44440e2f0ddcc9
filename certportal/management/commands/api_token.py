"""`manage.py api_token`: make a token for a program that uses the API."""

import json
from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from certportal.api import scopes
from certportal.api.tokens import TokenRefused, create_token
from certportal.models import User
from inventory.audit.record import SYSTEM
from inventory.management.plain_errors import PlainErrorsCommand

_MOST_DAYS = 3650


class Command(PlainErrorsCommand):
    help = "Makes an API token and prints it once. Only its hash is kept: a lost token is replaced, not found."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = (
            "Example: manage.py api_token ops --name siem --scope audit-events --scope certificates --days 365"
        )
        parser.add_argument("user", help="name of the user whose rights the token has")
        parser.add_argument("--name", required=True, help="what the token is for; one of its user's tokens has it")
        parser.add_argument(
            "--scope",
            action="append",
            default=[],
            metavar="SCOPE",
            help="RESOURCE to read it, RESOURCE:write to change it too; without any: all that the user may read. "
            f"Resources: {', '.join(scopes.Resource.values)}",
        )
        parser.add_argument(
            "--days", type=_days, help=f"how long it is valid, at most {_MOST_DAYS}; without: until it is deleted"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['user']!r}. The admin lists the users.")
        try:
            token, secret = create_token(
                user,
                name=options["name"],
                scopes=options["scope"],
                lifetime=options["days"],
                now=timezone.now(),
                actor=SYSTEM,
            )
        except scopes.UnknownScope as error:
            raise CommandError(str(error), returncode=2) from error
        except TokenRefused as error:
            raise CommandError(str(error)) from error
        if not options["json"]:
            self.stderr.write(f"Token {token.name!r} of {user}. It is shown this once:", self.style.NOTICE)
            self.stdout.write(secret)
            return
        made = {
            "token": secret,
            "user": user.username,
            "name": token.name,
            "scopes": token.scopes,
            "expires_at": token.expiry.isoformat() if token.expiry else None,
        }
        self.stdout.write(json.dumps(made))


def _days(text: str) -> timedelta:
    try:
        days = int(text)
    except ValueError:
        days = 0
    if not 1 <= days <= _MOST_DAYS:
        raise ArgumentTypeError(f"{text!r} is not a number of days from 1 to {_MOST_DAYS}")
    return timedelta(days=days)
