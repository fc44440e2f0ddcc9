"""`manage.py revoke`: revoke from the shell, with the same rules as in the admin."""

import getpass
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from inventory.audit.record import Actor
from inventory.models import Authority, Batch, Certificate, Device, RevocationReason
from inventory.models.audit import ActorKind
from inventory.models.certificate import CertificateQuerySet
from revocation.orders import (
    CannotRevoke,
    Order,
    RevocationCount,
    Revoked,
    revoke,
    revoke_many,
    unexpired_below,
    unexpired_of_batch,
    unexpired_of_device,
)


class WrongUse(CommandError):
    def __init__(self, text: str) -> None:
        super().__init__(text, returncode=2)


class Command(BaseCommand):
    help = (
        "Revoke a certificate, all certificates of a device or batch, or an authority. "
        "Example: manage.py revoke --device MTR-000017 --fleet demo --reason keyCompromise"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        target = parser.add_mutually_exclusive_group(required=True)
        target.add_argument("--serial", metavar="HEX", help=_("one certificate, by its serial number"))
        target.add_argument("--device", metavar="SERIAL", help=_("all unexpired certificates of a device"))
        target.add_argument("--batch", metavar="NAME", help=_("all unexpired certificates of a manufacturing batch"))
        target.add_argument("--authority", metavar="SLUG", help=_("an authority, and with it all that it signed"))
        parser.add_argument("--reason", required=True, choices=RevocationReason.values)
        parser.add_argument("--fleet", metavar="SLUG", help=_("the fleet of the device or batch"))
        parser.add_argument("--note", default="", help=_("why, for the audit log"))
        parser.add_argument(
            "--yes-revoke",
            metavar="N",
            type=int,
            help=_("confirm that N certificates are hit, as a first run without this prints"),
        )
        parser.add_argument("--json", action="store_true", help=_("print one JSON object"))

    def handle(self, *_args: Any, **options: Any) -> None:
        reason = RevocationReason(options["reason"])
        order = Order(reason, Actor(ActorKind.USER, getpass.getuser()), options["note"])
        if options["serial"]:
            done = self._one(_certificate(options["serial"]), order)
        elif options["device"]:
            done = self._many(unexpired_of_device(_device(options), timezone.now()), order)
        elif options["batch"]:
            hit = unexpired_of_batch(_batch(options), timezone.now())
            _confirm(hit, options["yes_revoke"])
            done = self._many(hit, order)
        else:
            authority = _authority(options["authority"])
            _confirm(unexpired_below(authority, timezone.now()), options["yes_revoke"])
            assert authority.certificate is not None  # by the lookup
            done = self._one(authority.certificate, order)
        self._print(done, as_json=options["json"])

    def _one(self, certificate: Certificate, order: Order) -> RevocationCount:
        result = revoke(certificate, order, timezone.now())
        if isinstance(result, CannotRevoke):
            raise CommandError(str(result.text))
        return RevocationCount(1, 0) if isinstance(result, Revoked) else RevocationCount(0, 1)

    def _many(self, certificates: CertificateQuerySet, order: Order) -> RevocationCount:
        return revoke_many(certificates, order, timezone.now())

    def _print(self, done: RevocationCount, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"revoked": done.revoked, "already_revoked": done.already_revoked}))
            return
        revoked = ngettext("%d certificate revoked", "%d certificates revoked", done.revoked) % done.revoked
        self.stdout.write(_("%(revoked)s; %(before)d before.") % {"revoked": revoked, "before": done.already_revoked})


def _certificate(text: str) -> Certificate:
    serial = text.lower().removeprefix("0x").replace(":", "").lstrip("0")
    found = Certificate.objects.select_related("authority", "device").filter(serial=serial)[:2]
    if len(found) != 1:
        raise WrongUse(_("%(count)d certificates have the serial number %(serial)s.") % _lookup(len(found), serial))
    return found[0]


def _device(options: dict[str, Any]) -> Device:
    found = Device.objects.filter(serial=options["device"])
    if options["fleet"]:
        found = found.filter(fleet__slug=options["fleet"])
    if len(found) != 1:
        raise WrongUse(
            _("%(count)d devices are called %(serial)s; --fleet picks one fleet.")
            % _lookup(len(found), options["device"])
        )
    return found[0]


def _batch(options: dict[str, Any]) -> Batch:
    found = Batch.objects.filter(name=options["batch"])
    if options["fleet"]:
        found = found.filter(fleet__slug=options["fleet"])
    if len(found) != 1:
        raise WrongUse(
            _("%(count)d batches are called %(serial)s; --fleet picks one fleet.")
            % _lookup(len(found), options["batch"])
        )
    return found[0]


def _lookup(count: int, name: str) -> dict[str, Any]:
    return {"count": count, "serial": name}


def _authority(slug: str) -> Authority:
    authority = Authority.objects.select_related("certificate__authority").filter(slug=slug).first()
    if authority is None or authority.certificate is None:
        raise WrongUse(_("There is no authority %s.") % slug)
    return authority


def _confirm(hit: CertificateQuerySet, said: int | None) -> None:
    count = hit.count()
    if said != count:
        raise WrongUse(
            ngettext(
                "Nothing was revoked. This hits %(count)d unexpired certificate: confirm with --yes-revoke %(count)d.",
                "Nothing was revoked. This hits %(count)d unexpired certificates: confirm with --yes-revoke %(count)d.",
                count,
            )
            % {"count": count}
        )
