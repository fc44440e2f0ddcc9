"""The door: the only place where an authority's key signs a certificate.

Whoever wants a certificate brings an `Admission`, which says that somebody decided so (the gate of `renewal`, or an
operator's act). What left by this door is in the inventory, byte for byte, with its audit event, in one transaction.
"""

import hashlib
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from django.conf import settings
from django.db import transaction

from inventory.audit.record import Actor, event, record
from inventory.issuing import urls
from inventory.issuing.keys.store import signing_key
from inventory.issuing.lifetimes import Lifetime, lifetime
from inventory.models import AuditAction, AuditEvent, Authority, Certificate, Device, Profile, Purpose
from inventory.x509 import keys, names
from inventory.x509.certificate import Contents, Pointers, build
from inventory.x509.csr import CertificationRequest

SERIAL_OCTETS = 20
_DRAW_STEPS = 1 << 53


@dataclass(frozen=True)
class Admission:
    """A decision that `device` may have a certificate for the key in `request`, by the rules of `profile`.

    `device` has its fleet, batch and site loaded. `predecessor` is the certificate that authenticated a renewal.
    """

    device: Device
    profile: Profile
    authority: Authority
    request: CertificationRequest
    actor: Actor
    predecessor: Certificate | None = None


class ProfileUnusable(ValueError):
    """The profile gives no certificate for this device; the text says which part of it, and why."""


def new_serial() -> int:
    """Return a random serial number of always 20 octets with 158 random bits (RFC 5280 4.1.2.2: at most 20, positive).

    A constant length keeps the DER of certificates, CRL entries and OCSP answers at constant lengths too.
    """
    return int.from_bytes(secrets.token_bytes(SERIAL_OCTETS)) & ((1 << 158) - 1) | (1 << 158)


def issue(admission: Admission, now: datetime) -> Certificate:
    """Sign and store one certificate. See `issue_many`."""
    return issue_many([admission], now)[0]


def issue_many(admissions: Sequence[Admission], now: datetime) -> list[Certificate]:
    """Sign, store and audit one certificate for each admission, in their order.

    Two statements per thousand, whatever the number of authorities. Raises IssuerTooOld, KeyUnavailable or
    ProfileUnusable before anything is stored.
    """
    certificates = [_sign(admission, now) for admission in admissions]
    with transaction.atomic(savepoint=False):
        Certificate.objects.bulk_create(certificates, batch_size=1000)
        record(
            _issued_event(admission, certificate, now)
            for admission, certificate in zip(admissions, certificates, strict=True)
        )
    return certificates


def _sign(admission: Admission, now: datetime) -> Certificate:
    authority, profile, device = admission.authority, admission.profile, admission.device
    serial, shard = _new_place(authority)
    dates = lifetime(
        now=now,
        validity=profile.validity,
        jitter_max=profile.jitter_max,
        draw=secrets.randbelow(_DRAW_STEPS) / _DRAW_STEPS,
        backdate=settings.NOT_BEFORE_BACKDATE,
        issuer_not_after=authority.x509.not_valid_after_utc,
    )
    subject, alternative_names, usages = _identity(admission)
    contents = Contents(
        serial=serial,
        subject=subject,
        public_key=admission.request.public_key,
        not_before=dates.not_before,
        not_after=dates.not_after,
        pointers=_pointers(authority, shard),
        alternative_names=alternative_names,
        extended_key_usages=usages,
    )
    signed = build(contents, issuer=authority.x509, signing_key=signing_key(authority.key_name))
    certificate = _row(signed, authority, Purpose.DEVICE, dates, now=now, shard=shard)
    certificate.device, certificate.profile, certificate.predecessor = device, profile, admission.predecessor
    return certificate


def _identity(
    admission: Admission,
) -> tuple[x509.Name, list[x509.GeneralName], list[x509.ObjectIdentifier]]:
    """Return subject, alternative names and extended key usages. Raises ProfileUnusable."""
    profile, predecessor = admission.profile, admission.predecessor
    try:
        if predecessor:
            # RFC 7030 4.2.2: a renewal is for the same names, whatever the profile calls new devices by now.
            subject, alternative_names = predecessor.x509.subject, names.alternative_names(predecessor.x509)
        else:
            values = name_values(admission.device)
            subject = names.subject(profile.subject_template, values)
            alternative_names = names.general_names(profile.san_templates, values)
        usages = [names.object_identifier(oid) for oid in profile.extended_key_usages]
    except ValueError as error:
        raise ProfileUnusable(f"Profile {profile.slug}: {error}") from error
    if not subject.rdns and not alternative_names:
        # RFC 5280 4.1.2.6: who has no subject needs an alternative name.
        raise ProfileUnusable(
            f"Profile {profile.slug}: {profile.subject_template!r} gives no name at all for {admission.device.serial}."
        )
    return subject, alternative_names, usages


def _new_place(issuer: Authority) -> tuple[int, int]:
    """Return a new serial number and the CRL shard that it falls into."""
    serial = new_serial()
    return serial, serial % issuer.crl_shards


def _pointers(authority: Authority, shard: int) -> Pointers:
    return Pointers(
        crl=urls.crl_url(authority.slug, shard),
        ocsp=urls.ocsp_url(authority.slug),
        issuer=urls.issuer_url(authority.slug),
    )


def _row(
    signed: x509.Certificate, authority: Authority, purpose: Purpose, dates: Lifetime, *, now: datetime, shard: int
) -> Certificate:
    der = signed.public_bytes(Encoding.DER)
    public_key = signed.public_key()
    kind = keys.key_type(public_key)
    if kind is None:
        raise ValueError("A certificate for a key of unknown kind was about to be stored.")
    return Certificate(
        authority=authority,
        serial=f"{signed.serial_number:x}",
        purpose=purpose,
        subject=signed.subject.rfc4514_string(),
        key_type=kind,
        der=der,
        sha256=hashlib.sha256(der).digest(),
        spki_sha256=keys.spki_sha256(public_key),
        not_before=dates.not_before,
        not_after=dates.not_after,
        jitter=dates.jitter,
        issued_at=now,
        crl_shard=shard,
    )


def _issued_event(admission: Admission, certificate: Certificate, now: datetime) -> AuditEvent:
    predecessor = admission.predecessor
    details = {
        "serial": certificate.serial,
        "issuer": admission.authority.slug,
        "profile": admission.profile.slug,
        "not_after": certificate.not_after.isoformat(),
    }
    if predecessor:
        details["renewal_of"] = predecessor.serial
    return event(
        AuditAction.CERTIFICATE_RENEWED if predecessor else AuditAction.CERTIFICATE_ENROLLED,
        now=now,
        actor=admission.actor,
        object_name=certificate.subject,
        device=admission.device,
        certificate=certificate,
        details=details,
    )


def name_values(device: Device) -> dict[str, str]:
    """Return what a profile's templates may say about `device`."""
    return {
        "serial": device.serial,
        "fleet": device.fleet.slug,
        "batch": device.batch.name if device.batch else "",
        "site": device.site.name if device.site else "",
    }


@dataclass(frozen=True)
class InfrastructureRequest:
    """A certificate for a part of the portal itself: an OCSP signer, or the server of the device plane."""

    purpose: Purpose
    public_key: CertificateIssuerPublicKeyTypes
    common_name: str
    validity: timedelta
    hosts: Sequence[str] = ()


_INFRASTRUCTURE_USAGES = {
    Purpose.OCSP_SIGNER: [ExtendedKeyUsageOID.OCSP_SIGNING],
    Purpose.TLS_SERVER: [ExtendedKeyUsageOID.SERVER_AUTH],
}


def issue_infrastructure(
    request: InfrastructureRequest, authority: Authority, *, now: datetime, actor: Actor
) -> Certificate:
    """Sign and store a certificate for the portal's own use. `hosts` are DNS names or IP addresses."""
    serial, shard = _new_place(authority)
    dates = _exact_lifetime(request.validity, authority.x509.not_valid_after_utc, now)
    signed = build(
        Contents(
            serial=serial,
            subject=_common_name(request.common_name),
            public_key=request.public_key,
            not_before=dates.not_before,
            not_after=dates.not_after,
            pointers=_pointers(authority, shard),
            alternative_names=[_host_name(host) for host in request.hosts],
            extended_key_usages=_INFRASTRUCTURE_USAGES[request.purpose],
            ocsp_no_check=request.purpose is Purpose.OCSP_SIGNER,
        ),
        issuer=authority.x509,
        signing_key=signing_key(authority.key_name),
    )
    certificate = _row(signed, authority, request.purpose, dates, now=now, shard=shard)
    _store(certificate, AuditAction.INFRASTRUCTURE_ISSUED, now=now, actor=actor)
    return certificate


@dataclass(frozen=True)
class AuthorityRequest:
    """A certificate for an authority whose key is already in the key store."""

    authority: Authority
    common_name: str
    organization: str
    validity: timedelta
    path_length: int | None


def issue_authority(request: AuthorityRequest, *, now: datetime, actor: Actor) -> Certificate:
    """Sign and store the certificate of an authority: by its parent, or by itself when it has none."""
    subject_authority = request.authority
    issuer = subject_authority.parent
    serial, shard = _new_place(issuer or subject_authority)
    own_key = signing_key(subject_authority.key_name)
    end_of_issuer = issuer.x509.not_valid_after_utc if issuer else now + request.validity
    dates = _exact_lifetime(request.validity, end_of_issuer, now)
    signed = build(
        Contents(
            serial=serial,
            subject=_common_name(request.common_name, request.organization),
            public_key=own_key.public_key(),
            not_before=dates.not_before,
            not_after=dates.not_after,
            # Nobody can revoke a root: it is trusted because it is configured.
            pointers=_pointers(issuer, shard) if issuer else None,
            is_authority=True,
            path_length=request.path_length,
        ),
        issuer=issuer.x509 if issuer else None,
        signing_key=signing_key(issuer.key_name) if issuer else own_key,
    )
    certificate = _row(signed, issuer or subject_authority, Purpose.AUTHORITY, dates, now=now, shard=shard)
    _store(certificate, AuditAction.AUTHORITY_ESTABLISHED, now=now, actor=actor)
    return certificate


def _exact_lifetime(validity: timedelta, issuer_not_after: datetime, now: datetime) -> Lifetime:
    return lifetime(
        now=now,
        validity=validity,
        jitter_max=timedelta(0),
        draw=0,
        backdate=settings.NOT_BEFORE_BACKDATE,
        issuer_not_after=issuer_not_after,
    )


def _common_name(common_name: str, organization: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _store(certificate: Certificate, action: AuditAction, *, now: datetime, actor: Actor) -> None:
    with transaction.atomic(savepoint=False):
        certificate.save(force_insert=True)
        record(
            [
                event(
                    action,
                    now=now,
                    actor=actor,
                    object_name=certificate.subject,
                    certificate=certificate,
                    details={"serial": certificate.serial, "not_after": certificate.not_after.isoformat()},
                )
            ]
        )
