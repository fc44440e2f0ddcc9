"""Enrolling and renewing: gate, door and bookkeeping of one request in one transaction, whatever the protocol."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import transaction

from inventory.audit.record import Actor
from inventory.issuing.certificates import ProfileUnusable, issue
from inventory.issuing.keys.software import KeyUnavailable
from inventory.issuing.lifetimes import IssuerTooOld
from inventory.models import AuditAction, Certificate, Device
from inventory.models.audit import ActorKind
from inventory.models.sighting import Oddity
from inventory.sightings import OddKey, record_odd_keys, record_sighting
from inventory.x509.csr import CertificationRequest
from renewal import brakes
from renewal.facts import of_enrolment, of_renewals
from renewal.gate import AlreadyIssued, Decision, admit_enrolment, admit_renewal, wrong_secret
from renewal.models import EnrolmentProtocol, EnrolmentSecret
from renewal.refusals import Refusal, RefusalCode

log = structlog.get_logger(__name__)

EnrolmentResult = Certificate | Refusal
_ODDITIES = {
    RefusalCode.KEY_OF_ANOTHER_DEVICE: Oddity.SHARED_KEY,
    RefusalCode.KEY_COMPROMISED: Oddity.COMPROMISED_KEY,
}


def renew(
    client_certificate: bytes,
    request: CertificationRequest,
    *,
    label: str | None,
    repeats_names: bool = True,
    now: datetime,
    source_address: str | None,
) -> EnrolmentResult:
    """Renew the certificate (DER) by which a device authenticated. Return the new certificate, or why not.

    `repeats_names`: whether the protocol's operation demands the names of the current certificate in the request.
    Five queries when issued: lock, read, certificate, audit event, sighting of the device.
    """
    sha256 = hashlib.sha256(client_certificate).digest()
    with transaction.atomic():
        [facts] = of_renewals([(sha256, request)], now)
        if facts is None or facts.certificate is None:
            log.warning("renewal refused", reason=RefusalCode.UNKNOWN_CERTIFICATE, sha256=sha256.hex())
            return Refusal(
                RefusalCode.UNKNOWN_CERTIFICATE, "The client certificate is not one of this portal's devices."
            )
        device, certificate = facts.device, facts.certificate
        actor = Actor(ActorKind.DEVICE, device.serial, source_address)
        decision = admit_renewal(facts, request, label=label, repeats_names=repeats_names, now=now, actor=actor)
        if not isinstance(decision, Refusal):
            record_sighting(certificate, device, now=now, actor=actor)
        outcome = _carry_out(decision, now)
        if isinstance(outcome, Refusal):
            refused = _Refused(AuditAction.RENEWAL_REFUSED, actor, device, certificate, request)
            return _refuse(outcome, refused, now)
        return outcome


def enrol(
    serial: str,
    secret: str,
    request: CertificationRequest,
    *,
    label: str,
    protocol: EnrolmentProtocol,
    now: datetime,
    source_address: str | None,
) -> EnrolmentResult:
    """Give a device its certificate for a one-time secret, which is spent exactly by that. Or say why not."""
    with transaction.atomic():
        # Before any brake: a right secret is served, whatever strangers did to its device or behind the same address.
        found = of_enrolment(serial, secret, request, label=label, protocol=protocol, now=now)
        if found is None:
            device = Device.objects.filter(fleet__slug=label, serial=serial).first()
            actor = Actor(ActorKind.UNKNOWN, serial, source_address)
            refused = _Refused(AuditAction.ENROLMENT_REFUSED, actor, device, None, request)
            return _refuse(wrong_secret(), refused, now)
        known, facts = found
        actor = Actor(ActorKind.DEVICE, serial, source_address)
        outcome = _carry_out(admit_enrolment(known, facts, request, now=now, actor=actor), now)
        if isinstance(outcome, Refusal):
            refused = _Refused(AuditAction.ENROLMENT_REFUSED, actor, facts.device, None, request)
            return _refuse(outcome, refused, now)
        if known.certificate_id is None:
            EnrolmentSecret.objects.filter(pk=known.pk).update(spent_at=now, certificate=outcome)
        return outcome


def _carry_out(decision: Decision, now: datetime) -> EnrolmentResult:
    """Issue what was admitted. What keeps the portal from it is a refusal too: the device may ask again later."""
    if isinstance(decision, Refusal):
        return decision
    if isinstance(decision, AlreadyIssued):
        return Certificate.objects.get(pk=decision.certificate_id)
    try:
        return issue(decision, now)
    except IssuerTooOld as error:
        refusal, why = Refusal(RefusalCode.ISSUER_TOO_OLD, str(error)), str(error)
    except ProfileUnusable as error:
        refusal, why = Refusal(RefusalCode.PROFILE_UNUSABLE, f"{error} An operator must change it."), str(error)
    except KeyUnavailable as error:
        # Where our keys are is for our log alone.
        text = f"The authority {decision.authority.slug} cannot sign at the moment; try again later."
        refusal, why = Refusal(RefusalCode.ISSUER_UNAVAILABLE, text), str(error)
    log.error("certificate not issued", reason=refusal.code, why=why, device=decision.device.serial)
    return refusal


@dataclass(frozen=True)
class _Refused:
    """Whose request was refused, as far as anybody knows, and by which certificate it came."""

    action: AuditAction
    actor: Actor
    device: Device | None
    certificate: Certificate | None
    request: CertificationRequest


def _refuse(refusal: Refusal, refused: _Refused, now: datetime) -> Refusal:
    action, actor, device = refused.action, refused.actor, refused.device
    log.info("request refused", action=action, reason=refusal.code, actor=actor.name, address=actor.source_address)
    answer = brakes.note(refusal, action, actor, now, device=device, certificate=refused.certificate)
    if device and (oddity := _ODDITIES.get(refusal.code)):
        # Both devices have to be looked at: the one that asked, and the one whose certificate has the key.
        holder = refusal.details.get("held_by", refused.certificate.pk if refused.certificate else None)
        name = f"key:{refused.request.spki_sha256.hex()} {device.serial}"
        record_odd_keys([OddKey(oddity, name, holder, device.pk)], now=now, actor=actor)
    return answer
