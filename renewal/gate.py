"""The gate: decides whether a device may have a certificate. Every way in asks here, and only here.

The gate reads what it decides on under a lock that a revocation must wait for, so what it admits is still true when
the certificate is committed. It changes nothing; `enrolling` puts gate and door into one transaction.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict, cast

from django.db.models import Exists, OuterRef, QuerySet, Subquery

from inventory.audit.record import Actor
from inventory.devices.cases import is_cleared, newest
from inventory.issuing.certificates import Admission
from inventory.issuing.lifetimes import renewal_opens
from inventory.models import Certificate, CertificateState, Device, DeviceStatus, Profile, Purpose
from inventory.models.certificate import LIVE_STATES
from inventory.x509 import names
from inventory.x509.csr import CertificationRequest
from renewal.models import EnrolmentProtocol, EnrolmentSecret
from renewal.refusals import Refusal, RefusalCode, day

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

_RULES = ("fleet__profile", "fleet__authority__certificate", "batch", "site")
# What a renewal is decided and issued on, and no more: on the busiest route, each column costs time to ask and to read.
_CURRENT = (
    *("serial", "subject", "state", "issued_at", "not_before", "not_after", "der", "spki_sha256", "revocation_reason"),
    *("authority__slug", "authority__certificate__state"),
    *("device__serial", "device__status", "device__fleet__slug", "device__fleet__profile"),
    *(f"device__fleet__authority__{column}" for column in ("slug", "key_name", "crl_shards")),
    *(f"device__fleet__authority__certificate__{column}" for column in ("der", "state", "not_after")),
)


@dataclass(frozen=True)
class AlreadyIssued:
    """The same request was answered before: the answer is the same certificate."""

    certificate: Certificate


Decision = Admission | AlreadyIssued | Refusal


class _KeyFacts(TypedDict):
    answered_by: int | None
    seen_before: bool


@dataclass(frozen=True)
class CurrentCertificate:
    """The certificate that authenticated a renewal, and what the inventory knows about the key asked for."""

    certificate: Certificate
    device: Device
    answered_by: int | None
    seen_before: bool


def find_current(sha256: bytes, request: CertificationRequest) -> CurrentCertificate | None:
    """Return the device certificate whose bytes hash to `sha256`, locked, with all that the gate decides on.

    The whole certificate is compared, not its serial or subject: a look-alike from elsewhere is not in the inventory,
    and one of an external authority is only tracked there.
    Call it in a transaction. One query.
    """
    same_key = Certificate.objects.filter(spki_sha256=request.spki_sha256)
    answered_by = same_key.filter(predecessor=OuterRef("pk")).values("pk")[:1]
    found = (
        Certificate.objects.filter(sha256=sha256, purpose=Purpose.DEVICE, authority__key_name__isnull=False)
        .select_related("authority__certificate", "device__fleet__profile", "device__fleet__authority__certificate")
        .only(*_CURRENT)
        .annotate(answered_by=Subquery(answered_by), seen_before=Exists(same_key.exclude(pk=OuterRef("pk"))))
        .select_for_update(of=("self",), no_key=True)
    )
    for certificate in found:  # one at most: fingerprints are unique
        if certificate.device is not None:
            facts = cast("WithAnnotations[Certificate, _KeyFacts]", certificate)
            return CurrentCertificate(certificate, certificate.device, facts.answered_by, facts.seen_before)
    return None


def admit_renewal(
    current: CurrentCertificate,
    request: CertificationRequest,
    *,
    label: str | None,
    repeats_names: bool,
    now: datetime,
    actor: Actor,
) -> Decision:
    """Decide whether the device of `current` may have its next certificate for the key in `request`.

    With `repeats_names` the request must name exactly what the current certificate names. Without, its names are of no
    account unless they are another device's. The certificate's name comes from the profile either way.
    """
    certificate, device = current.certificate, current.device
    profile = device.fleet.profile
    refusal = (
        _refuse_certificate(certificate, now)
        or _refuse_authority(device)
        or _refuse_device(device)
        or _refuse_label(device, label)
        or (_refuse_other_name(certificate, request) if repeats_names else _refuse_name_of_another(device, request))
    )
    if refusal:
        return refusal
    if current.answered_by is not None:
        answer = Certificate.objects.get(pk=current.answered_by)
        return AlreadyIssued(answer) if answer.state in LIVE_STATES else _key_reused()
    return (
        _refuse_early(certificate, profile, now)
        or _refuse_key_type(profile, request)
        or _refuse_used_key(current, profile, request)
        or Admission(
            device=device,
            profile=profile,
            authority=device.fleet.authority,
            request=request,
            actor=actor,
            predecessor=certificate,
        )
    )


def find_secret(serial: str, secret: str, *, label: str, protocol: EnrolmentProtocol) -> EnrolmentSecret | None:
    """Return the secret of device `serial` in fleet `label`, spent or not, locked, with all that the gate decides on.

    Call it in a transaction. One query.
    """
    sha256 = hashlib.sha256(secret.encode()).digest()
    return (
        EnrolmentSecret.objects.filter(
            sha256=sha256, protocol=protocol, device__serial=serial, device__fleet__slug=label
        )
        .select_related(*(f"device__{rule}" for rule in _RULES))
        .select_for_update(of=("self", "device"), no_key=True)
        .first()
    )


def admit_enrolment(secret: EnrolmentSecret, request: CertificationRequest, *, now: datetime, actor: Actor) -> Decision:
    """Decide whether the device of `secret` (from `find_secret`) may have a certificate for the key in `request`.

    The name comes from the profile alone; what the request says about it is of no account, unless it names another
    device.
    """
    device, profile = secret.device, secret.device.fleet.profile
    refusal = _refuse_authority(device) or _refuse_device(device) or _refuse_revoked_device(device)
    if refusal:
        return refusal
    if secret.certificate_id is not None:
        issued = Certificate.objects.get(pk=secret.certificate_id)
        if issued.spki_sha256 == request.spki_sha256 and issued.state in LIVE_STATES:
            return AlreadyIssued(issued)
        return wrong_secret()
    if secret.expires_at <= now:
        return wrong_secret()
    return (
        _refuse_name_of_another(device, request)
        or _refuse_key_type(profile, request)
        or _refuse_known_key(request)
        or Admission(device=device, profile=profile, authority=device.fleet.authority, request=request, actor=actor)
    )


def wrong_secret() -> Refusal:
    """One answer for wrong, spent, expired and unknown: a guesser learns nothing from the difference."""
    return Refusal(
        RefusalCode.WRONG_SECRET,
        "The device serial number or its one-time secret is wrong, spent or expired; ask for a new secret.",
    )


def _refuse_certificate(certificate: Certificate, now: datetime) -> Refusal | None:
    issuer = certificate.authority.certificate
    if certificate.state == CertificateState.REVOKED:
        return Refusal(
            RefusalCode.CERTIFICATE_REVOKED,
            f"The certificate was revoked ({certificate.revocation_reason}); the device needs an investigation first.",
        )
    if issuer is None or issuer.state == CertificateState.REVOKED:
        return Refusal(
            RefusalCode.ISSUER_REVOKED,
            f"The authority {certificate.authority.slug} that signed the certificate was revoked.",
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


def _refuse_authority(device: Device) -> Refusal | None:
    authority = device.fleet.authority
    if authority.certificate is not None and authority.certificate.state != CertificateState.REVOKED:
        return None
    return Refusal(
        RefusalCode.ISSUER_REVOKED,
        f"The authority {authority.slug} that signs for fleet {device.fleet.slug} was revoked; "
        "an operator must choose another.",
    )


def _refuse_device(device: Device) -> Refusal | None:
    if device.status == DeviceStatus.IN_SERVICE:
        return None
    return Refusal(
        RefusalCode.DEVICE_NOT_IN_SERVICE,
        f"The device {device.serial} is {device.status.replace('_', ' ')}; an operator must return it to service.",
    )


def _refuse_revoked_device(device: Device) -> Refusal | None:
    last = newest(device)
    if last is None or last.state != CertificateState.REVOKED or is_cleared(last.pk):
        return None
    return Refusal(
        RefusalCode.DEVICE_REVOKED,
        f"The last certificate of device {device.serial} was revoked; an investigation must clear the device first.",
    )


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


def _refuse_name_of_another(device: Device, request: CertificationRequest) -> Refusal | None:
    # No device is called by a NUL: PostgreSQL cannot hold one, nor be asked for it.
    claimed = [name for name in names.common_names(request.subject) if name != device.serial and "\0" not in name]
    if not claimed or not Device.objects.filter(fleet_id=device.fleet_id, serial__in=claimed).exists():
        return None
    return Refusal(
        RefusalCode.NAME_MISMATCH,
        f"The request names another device than {device.serial}, which authenticated.",
    )


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


def _refuse_used_key(current: CurrentCertificate, profile: Profile, request: CertificationRequest) -> Refusal | None:
    same_key = request.spki_sha256 == current.certificate.spki_sha256
    if same_key and not profile.allow_same_key:
        return Refusal(
            RefusalCode.KEY_REUSED,
            f"The profile {profile.slug} needs a new key for each certificate; this is the current one.",
        )
    return _key_reused() if current.seen_before and not same_key else None


def _refuse_known_key(request: CertificationRequest) -> Refusal | None:
    seen: QuerySet[Certificate] = Certificate.objects.filter(spki_sha256=request.spki_sha256)
    return _key_reused() if seen.exists() else None


def _key_reused() -> Refusal:
    return Refusal(RefusalCode.KEY_REUSED, "The key was used in an earlier certificate; make a new one.")
