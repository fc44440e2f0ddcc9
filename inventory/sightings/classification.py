"""What a sighting means, given what the inventory knows of the thing seen. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import models
from django.utils.translation import gettext_lazy as _

from inventory.models import CertificateState, DeviceStatus
from inventory.models.sighting import Oddity
from inventory.sightings.identifiers import Sighting

# Clocks of verifiers differ. More than this is not a difference: such a time would hide every true one after it.
CLOCK_TOLERANCE = timedelta(minutes=5)


class SightingOutcome(models.TextChoices):
    """What became of a sighting."""

    CONFIRMED = "confirmed", _("first use of its certificate")
    SEEN = "seen", _("noted")
    OLDER = "older", _("older than what was known; nothing changed")
    UNKNOWN = "unknown", _("nothing in the inventory has this name")
    REVOKED = "revoked", _("its certificate was revoked")
    REFUSED = "refused", _("refused")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one sighting; `reason` says why when it was refused."""

    outcome: SightingOutcome
    reason: str = ""


class SeenCertificate(NamedTuple):
    """What the inventory knows of a certificate that was seen. `revoked_at`: of itself, or of an authority above."""

    id: int
    sha256: bytes
    state: str
    issued_at: datetime
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None


class SeenDevice(NamedTuple):
    """What the inventory knows of a device that was seen."""

    id: int
    fleet: str
    mqtt_id: str
    status: str
    last_seen_at: datetime | None


class Found(NamedTuple):
    """What the name of a sighting stands for. A certificate of the portal itself has no device."""

    certificate: SeenCertificate | None
    device: SeenDevice | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about a sighting: `first_use` if the certificate is still unused when its row is locked."""

    result: Result
    device_lives: bool = False
    first_use: bool = False
    oddity: Oddity | None = None


_SEEN = Verdict(Result(SightingOutcome.SEEN), device_lives=True)
_FIRST_USE = Verdict(Result(SightingOutcome.SEEN), device_lives=True, first_use=True)
_OLDER = Verdict(Result(SightingOutcome.OLDER))
_OLD_FIRST_USE = Verdict(Result(SightingOutcome.OLDER), first_use=True)
_UNKNOWN = Verdict(Result(SightingOutcome.UNKNOWN), oddity=Oddity.UNKNOWN)
_REVOKED = Verdict(Result(SightingOutcome.REVOKED), oddity=Oddity.REVOKED)


def judge(sighting: Sighting, found: Found | None, now: datetime) -> Verdict:
    """Decide about one sighting, independently of the others in its batch."""
    if sighting.at > now + CLOCK_TOLERANCE:
        return _refused(
            f"The time of the sighting, {_second(sighting.at)}, lies in the future; it is {_second(now)}. "
            "Set the clock of the reporter."
        )
    if found is None:
        return _UNKNOWN
    certificate, device = found.certificate, found.device
    if device is None:
        return _refused("The certificate is the portal's own, of no device.")
    if sighting.only and (sighting.only.fleet, sighting.only.mqtt_id) != (device.fleet, device.mqtt_id):
        return _refused(f"The certificate is not that of the device {sighting.only}, which reported it.")
    if certificate:
        if sighting.at < certificate.not_before:
            return _refused(
                f"At the time of the sighting, {_second(sighting.at)}, the certificate was not yet valid: it begins "
                f"{_second(certificate.not_before)}. Set the clock of the reporter."
            )
        # What was seen before the revocation, and is told only now, was in order.
        if certificate.revoked_at and sighting.at >= certificate.revoked_at:
            return _REVOKED
    return _judge_life(sighting.at, certificate, device)


def _judge_life(at: datetime, certificate: SeenCertificate | None, device: SeenDevice) -> Verdict:
    first_use = bool(certificate and certificate.state == CertificateState.ISSUED and at <= certificate.not_after)
    newer = device.last_seen_at is None or at > device.last_seen_at
    if device.status != DeviceStatus.IN_SERVICE:
        result = Result(SightingOutcome.SEEN if newer else SightingOutcome.OLDER)
        return Verdict(result, device_lives=newer, first_use=first_use, oddity=Oddity.OUT_OF_SERVICE)
    if newer:
        return _FIRST_USE if first_use else _SEEN
    return _OLD_FIRST_USE if first_use else _OLDER


def _refused(reason: str) -> Verdict:
    return Verdict(Result(SightingOutcome.REFUSED, reason))


def _second(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
