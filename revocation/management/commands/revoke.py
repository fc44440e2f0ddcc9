"""`manage.py revoke`: revoke from the shell, with the same rules as in the admin."""

import getpass
import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from inventory.audit.record import Actor
from inventory.management.plain_errors import PlainErrorsCommand
from inventory.models import Authority, Batch, Certificate, Device, RevocationReason
from inventory.models.audit import ActorKind
from inventory.models.certificate import CertificateQuerySet
from inventory.x509.serials import stored_forms
from revocation.orders import (
    AlreadyRevoked,
    CannotRevoke,
    Order,
    Raised,
    RevocationCount,
    Revoked,
    revoke,
    revoke_many,
    unexpired_below,
    unexpired_of_batch,
    unexpired_of_device,
)


def wrong_use(text: str) -> CommandError:
    return CommandError(text, returncode=2)


class Command(PlainErrorsCommand):
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
        match result:
            case Revoked():
                return RevocationCount(1, 0)
            case Raised():
                return RevocationCount(0, 0, 1)
            case AlreadyRevoked():
                return RevocationCount(0, 1)

    def _many(self, certificates: CertificateQuerySet, order: Order) -> RevocationCount:
        return revoke_many(certificates, order, timezone.now())

    def _print(self, done: RevocationCount, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(asdict(done)))
        elif done.revoked or done.raised or not done.already_revoked:
            revoked = ngettext("%d certificate revoked", "%d certificates revoked", done.revoked) % done.revoked
            numbers = {"revoked": revoked, "raised": done.raised, "before": done.already_revoked}
            text = _("%(revoked)s, %(raised)d raised to a compromise") if done.raised else "%(revoked)s"
            self.stdout.write((text + _("; %(before)d before.")) % numbers)
        if done.already_revoked and not done.revoked and not done.raised:
            raise CommandError(
                ngettext(
                    "Nothing changed: %d certificate was revoked before. Only a compromise raises its reason.",
                    "Nothing changed: %d certificates were revoked before. Only a compromise raises their reasons.",
                    done.already_revoked,
                )
                % done.already_revoked
            )


def _certificate(text: str) -> Certificate:
    """Return the one certificate with this serial number, in any spelling."""
    found = Certificate.objects.select_related("authority", "device").filter(serial__in=stored_forms(text))[:2]
    if not found:
        raise wrong_use(_("No certificate has the serial number %s.") % text.strip())
    if len(found) > 1:
        raise wrong_use(_("More than one certificate has the serial number %s.") % text.strip())
    return found[0]


def _device(options: dict[str, Any]) -> Device:
    found = Device.objects.filter(serial=options["device"])
    if options["fleet"]:
        found = found.filter(fleet__slug=options["fleet"])
    if len(found) != 1:
        raise wrong_use(
            _("%(count)d devices are called %(serial)s; --fleet picks one fleet.")
            % _lookup(len(found), options["device"])
        )
    return found[0]


def _batch(options: dict[str, Any]) -> Batch:
    found = Batch.objects.filter(name=options["batch"])
    if options["fleet"]:
        found = found.filter(fleet__slug=options["fleet"])
    if len(found) != 1:
        raise wrong_use(
            _("%(count)d batches are called %(serial)s; --fleet picks one fleet.")
            % _lookup(len(found), options["batch"])
        )
    return found[0]


def _lookup(count: int, name: str) -> dict[str, Any]:
    return {"count": count, "serial": name}


def _authority(slug: str) -> Authority:
    authority = Authority.objects.select_related("certificate__authority").filter(slug=slug).first()
    if authority is None or authority.certificate is None:
        raise wrong_use(_("There is no authority %s.") % slug)
    return authority


def _confirm(hit: CertificateQuerySet, said: int | None) -> None:
    count = hit.count()
    if said != count:
        raise wrong_use(
            ngettext(
                "Nothing was revoked. This hits %(count)d unexpired certificate: confirm with --yes-revoke %(count)d.",
                "Nothing was revoked. This hits %(count)d unexpired certificates: confirm with --yes-revoke %(count)d.",
                count,
            )
            % {"count": count}
        )
