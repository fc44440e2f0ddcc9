"""Enrolling and renewing: gate, door and bookkeeping of one request in one transaction, whatever the protocol."""

import hashlib
from datetime import datetime
from functools import partial

import structlog
from django.db import IntegrityError, transaction

from inventory.audit.record import Actor
from inventory.issuing.certificates import ProfileUnusable, issue
from inventory.issuing.keys.software import KeyUnavailable
from inventory.issuing.lifetimes import IssuerTooOld
from inventory.models import AuditAction, Certificate, Device
from inventory.models.audit import ActorKind
from inventory.sightings import record_sighting
from inventory.x509.csr import CertificationRequest
from renewal import brakes
from renewal.gate import (
    AlreadyIssued,
    CurrentCertificate,
    Decision,
    admit_enrolment,
    admit_renewal,
    find_current,
    find_secret,
    wrong_secret,
)
from renewal.models import EnrolmentProtocol, EnrolmentSecret
from renewal.refusals import Refusal, RefusalCode

log = structlog.get_logger(__name__)

EnrolmentResult = Certificate | Refusal


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
    Four queries when issued: read and lock, certificate, audit event, sighting of the device.
    """
    sha256 = hashlib.sha256(client_certificate).digest()
    answer = partial(
        _renew,
        sha256,
        request,
        label=label,
        repeats_names=repeats_names,
        now=now,
        source_address=source_address,
    )
    try:
        return answer()
    except IntegrityError:
        # The same request, answered twice at once: the constraint let one through, and now we can see it.
        return answer()


def _renew(
    sha256: bytes,
    request: CertificationRequest,
    *,
    label: str | None,
    repeats_names: bool,
    now: datetime,
    source_address: str | None,
) -> EnrolmentResult:
    with transaction.atomic():
        current = find_current(sha256, request)
        if current is None:
            log.warning("renewal refused", reason=RefusalCode.UNKNOWN_CERTIFICATE, sha256=sha256.hex())
            return Refusal(
                RefusalCode.UNKNOWN_CERTIFICATE, "The client certificate is not one of this portal's devices."
            )
        actor = Actor(ActorKind.DEVICE, current.device.serial, source_address)
        decision = admit_renewal(current, request, label=label, repeats_names=repeats_names, now=now, actor=actor)
        if not isinstance(decision, Refusal):
            record_sighting(current.certificate, current.device, now=now, actor=actor)
        outcome = _carry_out(decision, now)
        if isinstance(outcome, Refusal):
            return _refuse(outcome, AuditAction.RENEWAL_REFUSED, actor, now, current=current)
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
        found = find_secret(serial, secret, label=label, protocol=protocol)
        if found is None:
            device = Device.objects.filter(fleet__slug=label, serial=serial).first()
            actor = Actor(ActorKind.UNKNOWN, serial, source_address)
            return _refuse(wrong_secret(), AuditAction.ENROLMENT_REFUSED, actor, now, device=device)
        actor = Actor(ActorKind.DEVICE, serial, source_address)
        decision = admit_enrolment(found, request, now=now, actor=actor)
        outcome = _carry_out(decision, now)
        if isinstance(outcome, Refusal):
            return _refuse(outcome, AuditAction.ENROLMENT_REFUSED, actor, now, device=found.device)
        if found.certificate_id is None:
            EnrolmentSecret.objects.filter(pk=found.pk).update(spent_at=now, certificate=outcome)
        return outcome


def _carry_out(decision: Decision, now: datetime) -> EnrolmentResult:
    """Issue what was admitted. What keeps the portal from it is a refusal too: the device may ask again later."""
    if isinstance(decision, Refusal):
        return decision
    if isinstance(decision, AlreadyIssued):
        return decision.certificate
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


def _refuse(
    refusal: Refusal,
    action: AuditAction,
    actor: Actor,
    now: datetime,
    *,
    current: CurrentCertificate | None = None,
    device: Device | None = None,
) -> Refusal:
    device = current.device if current else device
    log.info("request refused", action=action, reason=refusal.code, actor=actor.name, address=actor.source_address)
    certificate = current.certificate if current else None
    return brakes.note(refusal, action, actor, now, device=device, certificate=certificate)
