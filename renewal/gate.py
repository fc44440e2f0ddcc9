"""The gate: decides whether a device may have a certificate. Every way in asks here, and only here.

Pure: `facts` reads what is decided on, under locks that a revocation or a suspension must wait for, so what is admitted
is still true when the certificate is committed. `enrolling` puts facts, gate and door into one transaction.
"""

from dataclasses import dataclass
from datetime import datetime

from inventory.audit.record import Actor
from inventory.issuing.certificates import Admission
from inventory.issuing.lifetimes import renewal_opens
from inventory.models import Certificate, CertificateState, Device, DeviceStatus, Profile
from inventory.models.certificate import LIVE_STATES
from inventory.x509 import names
from inventory.x509.csr import CertificationRequest
from renewal.facts import Facts
from renewal.models import EnrolmentSecret
from renewal.refusals import Refusal, RefusalCode, day


@dataclass(frozen=True)
class AlreadyIssued:
    """The same request was answered before: the answer is the same certificate, which has this key."""

    certificate_id: int


Decision = Admission | AlreadyIssued | Refusal


def admit_renewal(
    facts: Facts,
    request: CertificationRequest,
    *,
    label: str | None,
    repeats_names: bool,
    now: datetime,
    actor: Actor,
) -> Decision:
    """Decide whether the device may have its next certificate for the key in `request`.

    With `repeats_names` the request must name exactly what the current certificate names. Without, its names are of no
    account unless they are another device's. The certificate's name comes from the profile either way.
    """
    certificate, device = facts.certificate, facts.device
    assert certificate is not None  # which authenticated
    profile = device.fleet.profile
    refusal = (
        _refuse_certificate(facts, certificate, now)
        or _refuse_device(facts)
        or _refuse_label(device, label)
        or (_refuse_other_name(certificate, request) if repeats_names else _refuse_name_of_another(facts))
        or _refuse_key(facts)
    )
    if refusal:
        return refusal
    if facts.key.answer is not None:
        return AlreadyIssued(facts.key.answer) if facts.key.answer_is_live else _key_reused()
    return (
        _refuse_early(certificate, profile, now)
        or _refuse_key_type(profile, request)
        or _refuse_used_key(facts, certificate, request)
        or _refuse_too_many(facts, certificate)
        or _admission(facts, request, actor, predecessor=facts.certificate)
    )


def admit_enrolment(
    secret: EnrolmentSecret, facts: Facts, request: CertificationRequest, *, now: datetime, actor: Actor
) -> Decision:
    """Decide whether the device of `secret` may have a certificate for the key in `request`.

    The name comes from the profile alone; what the request says about it is of no account, unless it names another
    device.
    """
    refusal = _refuse_device(facts) or _refuse_key(facts)
    if refusal:
        return refusal
    if issued := secret.certificate:
        if issued.spki_sha256 == request.spki_sha256 and issued.state in LIVE_STATES:
            return AlreadyIssued(issued.pk)
        return wrong_secret()
    if secret.expires_at <= now:
        return wrong_secret()
    return (
        _refuse_name_of_another(facts)
        or _refuse_key_type(facts.device.fleet.profile, request)
        or (_key_reused() if facts.key.used else None)
        or _admission(facts, request, actor, predecessor=facts.certificate)
    )


def admit_vouched(facts: Facts, request: CertificationRequest, *, now: datetime, actor: Actor) -> Decision:
    """Decide whether a device that a service account speaks for may have a certificate for the key in `request`.

    What the device uses is renewed, in the window of the profile; what it never used holds nothing up but too many of
    its kind. The name comes from the profile, as of all that is enrolled.
    """
    current, profile = facts.certificate, facts.device.fleet.profile
    refusal = (
        (_refuse_certificate(facts, current, now) if current else None)
        or _refuse_device(facts)
        or _refuse_name_of_another(facts)
        or _refuse_key(facts)
    )
    if refusal:
        return refusal
    early = _refuse_early(current, profile, now) if current else None
    renews_same_key = profile.allow_same_key and current and not early and facts.key.own == current.pk
    if facts.key.own is not None and not renews_same_key:
        return AlreadyIssued(facts.key.own)
    if early and current and current.state != CertificateState.CONFIRMED:
        # It never came into use: the device asks for its first certificate still.
        early, current = None, None
    return (
        early
        or _refuse_key_type(profile, request)
        or (_key_reused() if facts.key.used else None)
        or (_refuse_too_many(facts, current) if current else _refuse_too_many_unused(facts))
        or _admission(facts, request, actor, predecessor=current)
    )


def _admission(
    facts: Facts, request: CertificationRequest, actor: Actor, *, predecessor: Certificate | None
) -> Admission:
    fleet = facts.device.fleet
    return Admission(facts.device, fleet.profile, fleet.authority, request, actor, predecessor=predecessor)


def unknown_device(serial: str, label: str) -> Refusal:
    """Return the answer to who speaks for a device that there is not."""
    return Refusal(RefusalCode.UNKNOWN_DEVICE, f"There is no device {serial!r} in fleet {label!r}; register it first.")


def wrong_secret() -> Refusal:
    """One answer for wrong, spent, expired and unknown: a guesser learns nothing from the difference."""
    return Refusal(
        RefusalCode.WRONG_SECRET,
        "The device serial number or its one-time secret is wrong, spent or expired; ask for a new secret.",
    )


def _refuse_certificate(facts: Facts, certificate: Certificate, now: datetime) -> Refusal | None:
    if certificate.state == CertificateState.REVOKED:
        return Refusal(
            RefusalCode.CERTIFICATE_REVOKED,
            f"The certificate was revoked ({certificate.revocation_reason}); the device needs an investigation first.",
        )
    if facts.certificate_key_compromised:
        return Refusal(
            RefusalCode.KEY_COMPROMISED,
            "The key of the certificate is known to be in other hands: another certificate with it was revoked so.",
        )
    if facts.issuer_revoked:
        return Refusal(
            RefusalCode.ISSUER_REVOKED,
            f"The authority {facts.issuer_revoked}, which stands above the certificate, was revoked.",
        )
    if certificate.state == CertificateState.SUPERSEDED:
        return Refusal(
            RefusalCode.CERTIFICATE_SUPERSEDED,
            "The certificate was superseded when its successor was first used; renew with the successor.",
        )
    if now < certificate.not_before:
        return Refusal(
            RefusalCode.CERTIFICATE_NOT_YET_VALID,
            f"The certificate is valid from {day(certificate.not_before)}; today is {day(now)}.",
        )
    if now > certificate.not_after:
        return Refusal(
            RefusalCode.CERTIFICATE_EXPIRED,
            f"The certificate expired on {day(certificate.not_after)}; the device needs a one-time enrolment secret.",
        )
    return None


def _refuse_device(facts: Facts) -> Refusal | None:
    """Refuse what is asked of every way in: of the authority that would sign, of the device, of its past."""
    device, fleet = facts.device, facts.device.fleet
    if facts.signer_revoked or fleet.authority.certificate is None:
        return Refusal(
            RefusalCode.ISSUER_REVOKED,
            f"The authority {fleet.authority.slug} that signs for fleet {fleet.slug} was revoked, or one above it; "
            "an operator must choose another.",
        )
    if device.status != DeviceStatus.IN_SERVICE:
        return Refusal(
            RefusalCode.DEVICE_NOT_IN_SERVICE,
            f"The device {device.serial} is {device.status.replace('_', ' ')}; an operator must return it to service.",
        )
    if facts.device_revoked:
        return Refusal(
            RefusalCode.DEVICE_REVOKED,
            f"The last certificate of device {device.serial} was revoked; "
            "an investigation must clear the device first.",
        )
    return None


def _refuse_label(device: Device, label: str | None) -> Refusal | None:
    if label is None or device.fleet.slug == label:
        return None
    return Refusal(
        RefusalCode.OTHER_FLEET,
        f"The certificate belongs to a device of another fleet than {label!r}; use the label of its own fleet.",
    )


def _refuse_other_name(certificate: Certificate, request: CertificationRequest) -> Refusal | None:
    # RFC 7030 4.2.2: subject and subjectAltName must be identical to those of the certificate being renewed.
    if request.subject != certificate.x509.subject:
        return Refusal(
            RefusalCode.NAME_MISMATCH,
            f"The request names another subject than the certificate being renewed: {certificate.subject}.",
        )
    if set(request.alternative_names) != set(names.alternative_names(certificate.x509)):
        return Refusal(
            RefusalCode.NAME_MISMATCH,
            "The request names other alternative names than the certificate being renewed.",
        )
    return None


def _refuse_name_of_another(facts: Facts) -> Refusal | None:
    if not facts.names_another:
        return None
    return Refusal(
        RefusalCode.NAME_MISMATCH,
        f"The request names another device than {facts.device.serial}, which authenticated.",
    )


def _refuse_key(facts: Facts) -> Refusal | None:
    """Refuse a key that nobody, or only another device, may have."""
    if facts.key.compromised:
        return Refusal(
            RefusalCode.KEY_COMPROMISED,
            "The key is known to be in other hands: a certificate with it was revoked for that. Make a new key.",
        )
    if facts.key.held_by is not None:
        return Refusal(
            RefusalCode.KEY_OF_ANOTHER_DEVICE,
            "Another device has a certificate for this key; each device must make its own.",
            details={"held_by": facts.key.held_by},
        )
    return None


def _refuse_early(certificate: Certificate, profile: Profile, now: datetime) -> Refusal | None:
    opens = renewal_opens(certificate.not_after, profile.renewal_window)
    if now >= opens:
        return None
    return Refusal(
        RefusalCode.WINDOW_NOT_OPEN,
        f"Renewal opens on {day(opens)}; today is {day(now)}.",
        details={"opens": opens.isoformat()},
    )


def _refuse_key_type(profile: Profile, request: CertificationRequest) -> Refusal | None:
    if request.key_type is not None and request.key_type in profile.key_types:
        return None
    asked = request.key_type.label if request.key_type else "of an unsupported kind"
    return Refusal(
        RefusalCode.KEY_TYPE,
        f"The key is {asked}; the profile {profile.slug} allows {', '.join(profile.key_types)}.",
    )


def _refuse_used_key(facts: Facts, certificate: Certificate, request: CertificationRequest) -> Refusal | None:
    profile = facts.device.fleet.profile
    if bytes(certificate.spki_sha256) != request.spki_sha256:
        return _key_reused() if facts.key.used else None
    if profile.allow_same_key:
        return None
    return Refusal(
        RefusalCode.KEY_REUSED,
        f"The profile {profile.slug} needs a new key for each certificate; this is the current one.",
    )


def _key_reused() -> Refusal:
    return Refusal(RefusalCode.KEY_REUSED, "The key was used in an earlier certificate; make a new one.")


def _refuse_too_many(facts: Facts, certificate: Certificate) -> Refusal | None:
    profile = facts.device.fleet.profile
    if facts.unconfirmed < profile.max_unconfirmed:
        return None
    # A renewal outlives what it renews, for a window is no longer than a validity: none of them ends before.
    return Refusal(
        RefusalCode.TOO_MANY_UNCONFIRMED,
        f"The certificate has {facts.unconfirmed} renewals that were never used; the profile {profile.slug} allows "
        f"{profile.max_unconfirmed} until the certificate ends on {day(certificate.not_after)}. "
        "Use one of them, ask again with the key of one, or enrol with a one-time secret.",
        details={"unconfirmed": facts.unconfirmed, "until": certificate.not_after.isoformat()},
    )


def _refuse_too_many_unused(facts: Facts) -> Refusal | None:
    profile = facts.device.fleet.profile
    if facts.unused < profile.max_unconfirmed:
        return None
    return Refusal(
        RefusalCode.TOO_MANY_UNCONFIRMED,
        f"The device {facts.device.serial} has {facts.unused} certificates that were never used; the profile "
        f"{profile.slug} allows {profile.max_unconfirmed}. Use one of them, or ask again with the key of one.",
        details={"unconfirmed": facts.unused},
    )
