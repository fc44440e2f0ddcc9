"""`manage.py publish_crls`: publish now, whatever the schedule says."""

import getpass
import json
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from inventory.audit.record import Actor
from inventory.issuing.keys.software import KeyUnavailable
from inventory.management.plain_errors import PlainErrorsCommand
from inventory.models import Authority
from inventory.models.audit import ActorKind
from revocation.publishing import publish
from revocation.scopes import scopes


class Command(PlainErrorsCommand):
    help = "Publish every CRL now. Example: manage.py publish_crls --authority manufacturing-1"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--authority", metavar="SLUG", help=_("only the CRLs of this authority"))
        parser.add_argument("--json", action="store_true", help=_("print one JSON list"))

    def handle(self, *_args: Any, **options: Any) -> None:
        in_force = Authority.objects.own().filter(certificate__not_after__gt=timezone.now())
        authorities = in_force.select_related("certificate")
        if options["authority"]:
            authorities = authorities.filter(slug=options["authority"])
            if not authorities:
                raise CommandError(_("There is no authority %s in force.") % options["authority"], returncode=2)
        failures = []
        published = []
        actor = Actor(ActorKind.USER, getpass.getuser())
        for authority in authorities:
            for scope in scopes(authority):
                try:
                    row = publish(authority, scope.shard, timezone.now(), actor=actor)
                except (KeyUnavailable, OSError) as error:
                    failures.append(f"{scope}: {error}")
                    continue
                published.append({"crl": str(scope), "number": row.number, "entries": row.entries, "size": row.size})
                if not options["json"]:
                    self.stdout.write(_("%(crl)s: number %(number)d, %(entries)d entries") % published[-1])
        if options["json"]:
            self.stdout.write(json.dumps(published))
        if failures:
            raise CommandError("\n".join([_("Not published; the CRLs in place stay:"), *failures]))
