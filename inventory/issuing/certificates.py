"""The door: the only place where an authority's key signs a certificate.

Whoever wants a certificate brings an `Admission`, which says that somebody decided so (the gate of `renewal`, or an
operator's act). What left by this door is in the inventory, byte for byte, with its audit event, in one transaction.
Certificates of devices come from compiled templates, the portal's own from the builder.
"""

import hashlib
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificateIssuerPublicKeyTypes,
)
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from django.conf import settings

from inventory import prepared
from inventory.audit.record import Actor, Entry, entry
from inventory.issuing import places_ahead, serial_numbers, urls
from inventory.issuing.keys.software import KeyUnavailable
from inventory.issuing.keys.store import signing_key
from inventory.issuing.lifetimes import IssuerTooOld, Lifetime, lifetime
from inventory.issuing.serial_numbers import Place
from inventory.issuing.storing import Row, store, store_and_draw, store_many, stored
from inventory.models import AuditAction, Authority, Certificate, Device, Profile, Purpose
from inventory.prepared import Statement
from inventory.x509 import keys, names, subjects
from inventory.x509.certificate import Contents, Pointers, build
from inventory.x509.csr import CertificationRequest
from inventory.x509.subjects import Subject
from inventory.x509.template import Blanks, Template, compile_template

_draw = secrets.SystemRandom().random


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


CannotIssue = IssuerTooOld | KeyUnavailable | ProfileUnusable
"""Why no certificate came of an admission."""


def issue(admission: Admission, now: datetime) -> Certificate:
    """Sign and store one certificate. See `issue_many`."""
    return issue_many([admission], now)[0]


def issue_many(admissions: Sequence[Admission], now: datetime) -> list[Certificate]:
    """Sign, store and audit one certificate for each admission, in their order.

    One takes two queries, or one when it follows another (`places_ahead`); any other number takes one query and two
    COPYs. The certificates of one authority are numbered without a gap between them. Raises IssuerTooOld,
    KeyUnavailable or ProfileUnusable before anything is asked of the database.
    """
    return _issue([_draft(admission, now) for admission in admissions], now)


def issue_each(
    admissions: Sequence[Admission], now: datetime, first: Statement | None = None
) -> list[Certificate | CannotIssue]:
    """Do as `issue_many`, but return in its place why a certificate cannot be issued, and issue the others.

    `first` is done whatever comes of the admissions; for one certificate in the same round trip.
    """
    drafts = [_draft_or_why_not(admission, now) for admission in admissions]
    issued = iter(_issue([draft for draft in drafts if isinstance(draft, _Draft)], now, first))
    return [next(issued) if isinstance(draft, _Draft) else draft for draft in drafts]


class _Draft(NamedTuple):
    """All that a certificate says but where it stands. `alternative_names`: the extension's value in DER, or empty."""

    admission: Admission
    issuer: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes
    subject: Subject
    alternative_names: bytes
    dates: Lifetime


def _draft_or_why_not(admission: Admission, now: datetime) -> _Draft | CannotIssue:
    try:
        return _draft(admission, now)
    except (IssuerTooOld, KeyUnavailable, ProfileUnusable) as error:
        return error


def _issue(drafts: Sequence[_Draft], now: datetime, first: Statement | None = None) -> list[Certificate]:
    if first and len(drafts) != 1:
        prepared.execute(*first)
    if not drafts:
        return []
    admissions = [draft.admission for draft in drafts]
    if len(drafts) == 1:
        rows = [_sign_and_store(drafts[0], now, first)]
    else:
        places = serial_numbers.draw([admission.authority for admission in admissions])
        rows = [_sign(draft, place, now) for draft, place in zip(drafts, places, strict=True)]
        store_many(rows, [_issued(admission, row, now) for admission, row in zip(admissions, rows, strict=True)])
    return [
        stored(
            row,
            authority=admission.authority,
            device=admission.device,
            profile=admission.profile,
            predecessor=admission.predecessor,
        )
        for admission, row in zip(admissions, rows, strict=True)
    ]


def _sign_and_store(draft: _Draft, now: datetime, first: Statement | None) -> Row:
    admission = draft.admission
    issuer = admission.authority
    ahead = places_ahead.of(issuer)
    row = _sign(draft, ahead.take(now) or serial_numbers.draw([issuer])[0], now)
    event = _issued(admission, row, now)
    if ahead.follows_soon(now):
        ahead.keep(store_and_draw(row, event, issuer, first), now)
    else:
        store(row, event, first)
        ahead.keep(None, now)
    return row


def _draft(admission: Admission, now: datetime) -> _Draft:
    authority, profile, request = admission.authority, admission.profile, admission.request
    if request.key_type is None:
        raise ValueError("A certificate for a key of unknown kind was about to be signed.")
    issuer = authority.x509
    subject, alternative_names = _names(admission)
    return _Draft(
        admission=admission,
        issuer=issuer,
        key=signing_key(authority.key_name),
        subject=subject,
        alternative_names=alternative_names,
        dates=lifetime(
            now=now,
            validity=profile.validity,
            jitter_max=profile.jitter_max,
            draw=_draw(),
            backdate=settings.NOT_BEFORE_BACKDATE,
            issuer_not_after=issuer.not_valid_after_utc,
        ),
    )


def _names(admission: Admission) -> tuple[Subject, bytes]:
    """Return subject and alternative names in DER. Raises ProfileUnusable, also for usages that are none."""
    profile, predecessor = admission.profile, admission.predecessor
    try:
        if predecessor:
            # RFC 7030 4.2.2: a renewal is for the same names, whatever the profile calls new devices by now.
            subject = subjects.encoded(predecessor.x509.subject)
            alternative_names = names.alternative_names(predecessor.x509)
        else:
            values = name_values(admission.device)
            subject = subjects.subject(profile.subject_template, values)
            alternative_names = names.general_names(profile.san_templates, values)
        _object_identifiers(tuple(profile.extended_key_usages))
    except ValueError as error:
        raise ProfileUnusable(f"Profile {profile.slug}: {error}") from error
    if not subject.text and not alternative_names:
        # RFC 5280 4.1.2.6: who has no subject needs an alternative name.
        raise ProfileUnusable(
            f"Profile {profile.slug}: {profile.subject_template!r} gives no name at all for {admission.device.serial}."
        )
    return subject, x509.SubjectAlternativeName(alternative_names).public_bytes() if alternative_names else b""


@lru_cache(maxsize=256)
def _object_identifiers(dotted: tuple[str, ...]) -> list[x509.ObjectIdentifier]:
    return [names.object_identifier(oid) for oid in dotted]


def _sign(draft: _Draft, place: Place, now: datetime) -> Row:
    admission, dates = draft.admission, draft.dates
    authority, request = admission.authority, admission.request
    assert request.key_type
    template = _template(
        draft.issuer,
        draft.key,
        tuple(admission.profile.extended_key_usages),
        request.key_type.startswith("rsa"),
        authority.slug,
        place.shard,
        settings.PUBLIC_STATUS_URL,
    )
    serial = serial_numbers.new_serial(place.issuance_index)
    der = template.fill(
        Blanks(
            serial=serial,
            not_before=dates.not_before,
            not_after=dates.not_after,
            subject=draft.subject.der,
            public_key=request.spki,
            alternative_names=draft.alternative_names,
        )
    )
    return Row(
        id=place.pk,
        authority_id=authority.pk,
        serial=serial.hex().lstrip("0"),
        issuance_index=place.issuance_index,
        crl_shard=place.shard,
        purpose=Purpose.DEVICE.value,
        device_id=admission.device.pk,
        profile_id=admission.profile.pk,
        predecessor_id=admission.predecessor.pk if admission.predecessor else None,
        subject=draft.subject.text,
        key_type=request.key_type.value,
        der=der,
        sha256=hashlib.sha256(der).digest(),
        spki_sha256=request.spki_sha256,
        not_before=dates.not_before,
        not_after=dates.not_after,
        jitter=dates.jitter,
        issued_at=now,
    )


@lru_cache(maxsize=4096)
def _template(
    issuer: x509.Certificate,
    key: CertificateIssuerPrivateKeyTypes,
    usages: tuple[str, ...],
    enciphers_keys: bool,
    authority_slug: str,
    shard: int,
    status_url: str,
) -> Template:
    """Return the template of an authority's shard. `status_url` begins every address in it."""
    return compile_template(
        issuer=issuer,
        signing_key=key,
        extended_key_usages=_object_identifiers(usages),
        enciphers_keys=enciphers_keys,
        pointers=_pointers(authority_slug, shard),
    )


def _pointers(authority_slug: str, shard: int) -> Pointers:
    return Pointers(
        crl=urls.crl_url(authority_slug, shard),
        ocsp=urls.ocsp_url(authority_slug),
        issuer=urls.issuer_url(authority_slug),
    )


def _issued(admission: Admission, row: Row, now: datetime) -> Entry:
    predecessor = admission.predecessor
    details = {
        "serial": row.serial,
        "issuer": admission.authority.slug,
        "profile": admission.profile.slug,
        "not_after": row.not_after.isoformat(),
    }
    if predecessor:
        details["renewal_of"] = predecessor.serial
    return entry(
        AuditAction.CERTIFICATE_RENEWED if predecessor else AuditAction.CERTIFICATE_ENROLLED,
        now=now,
        actor=admission.actor,
        object_name=row.subject,
        device_id=row.device_id,
        certificate_id=row.id,
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
    """A certificate for a part of the portal itself, as the server of the device plane."""

    purpose: Purpose
    public_key: CertificateIssuerPublicKeyTypes
    common_name: str
    validity: timedelta
    hosts: Sequence[str] = ()


_INFRASTRUCTURE_USAGES: dict[Purpose, list[x509.ObjectIdentifier]] = {
    Purpose.OCSP_SIGNER: [ExtendedKeyUsageOID.OCSP_SIGNING],
    # RFC 8894 names none; the key usage says that it signs and deciphers.
    Purpose.SCEP_RA: [],
    Purpose.TLS_SERVER: [ExtendedKeyUsageOID.SERVER_AUTH],
}


def issue_infrastructure(
    request: InfrastructureRequest, authority: Authority, *, now: datetime, actor: Actor
) -> Certificate:
    """Sign and store a certificate for the portal's own use. `hosts` are DNS names or IP addresses."""
    [place] = serial_numbers.draw([authority])
    dates = _exact_lifetime(request.validity, authority.x509.not_valid_after_utc, now)
    signed = build(
        Contents(
            serial=int.from_bytes(serial_numbers.new_serial(place.issuance_index)),
            subject=_common_name(request.common_name),
            public_key=request.public_key,
            not_before=dates.not_before,
            not_after=dates.not_after,
            pointers=_pointers(authority.slug, place.shard),
            alternative_names=[_host_name(host) for host in request.hosts],
            extended_key_usages=_INFRASTRUCTURE_USAGES[request.purpose],
            ocsp_no_check=request.purpose is Purpose.OCSP_SIGNER,
        ),
        issuer=authority.x509,
        signing_key=signing_key(authority.key_name),
    )
    action = AuditAction.INFRASTRUCTURE_ISSUED
    return _keep(signed, authority, request.purpose, dates, place, now=now, actor=actor, action=action)


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
    [place] = serial_numbers.draw([issuer or subject_authority])
    own_key = signing_key(subject_authority.key_name)
    end_of_issuer = issuer.x509.not_valid_after_utc if issuer else now + request.validity
    dates = _exact_lifetime(request.validity, end_of_issuer, now)
    signed = build(
        Contents(
            serial=int.from_bytes(serial_numbers.new_serial(place.issuance_index)),
            subject=_common_name(request.common_name, request.organization),
            public_key=own_key.public_key(),
            not_before=dates.not_before,
            not_after=dates.not_after,
            # Nobody can revoke a root: it is trusted because it is configured.
            pointers=_pointers(issuer.slug, place.shard) if issuer else None,
            is_authority=True,
            path_length=request.path_length,
        ),
        issuer=issuer.x509 if issuer else None,
        signing_key=signing_key(issuer.key_name) if issuer else own_key,
    )
    action = AuditAction.AUTHORITY_ESTABLISHED
    authority = issuer or subject_authority
    return _keep(signed, authority, Purpose.AUTHORITY, dates, place, now=now, actor=actor, action=action)


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


def _keep(
    signed: x509.Certificate,
    authority: Authority,
    purpose: Purpose,
    dates: Lifetime,
    place: Place,
    *,
    now: datetime,
    actor: Actor,
    action: AuditAction,
) -> Certificate:
    der = signed.public_bytes(Encoding.DER)
    public_key = signed.public_key()
    kind = keys.key_type(public_key)
    if kind is None:
        raise ValueError("A certificate for a key of unknown kind was about to be stored.")
    row = Row(
        id=place.pk,
        authority_id=authority.pk,
        serial=f"{signed.serial_number:x}",
        issuance_index=place.issuance_index,
        crl_shard=place.shard,
        purpose=purpose.value,
        device_id=None,
        profile_id=None,
        predecessor_id=None,
        subject=signed.subject.rfc4514_string(),
        key_type=kind.value,
        der=der,
        sha256=hashlib.sha256(der).digest(),
        spki_sha256=keys.spki_sha256(public_key),
        not_before=dates.not_before,
        not_after=dates.not_after,
        jitter=dates.jitter,
        issued_at=now,
    )
    told = entry(
        action,
        now=now,
        actor=actor,
        object_name=row.subject,
        device_id=None,
        certificate_id=row.id,
        details={"serial": row.serial, "not_after": row.not_after.isoformat()},
    )
    store(row, told)
    return stored(row, authority=authority)
