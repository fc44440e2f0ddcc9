"""Delegated OCSP signers: a key of their own for each authority's answers, under a certificate of two weeks.

Clients do not ask whether the signer itself is revoked (id-pkix-ocsp-nocheck), so it lives for a short time, and each
certificate has a new key. Every process finds the latest one by the rows.
"""

import secrets
from datetime import datetime, timedelta

from django.db import transaction

from inventory.audit.record import SYSTEM, Actor
from inventory.issuing.certificates import InfrastructureRequest, issue_infrastructure
from inventory.issuing.keys.software import KeyUnavailable
from inventory.issuing.keys.store import create_key, signing_key
from inventory.models import Authority, Certificate, Purpose
from inventory.x509.keys import key_type
from revocation import ocsp
from revocation.models import OcspSigner

VALIDITY = timedelta(days=14)
RENEWED_BEFORE_END = VALIDITY / 2


class SignerUnavailable(Exception):
    """No key can answer for the authority at the moment; the text says what is missing."""


def load(authority_id: int, now: datetime) -> ocsp.Signer:
    """Return the latest signer of an authority, its key decrypted. One query. Raises SignerUnavailable."""
    signer = _latest(authority_id, now)
    if signer is None:
        raise SignerUnavailable("The authority has no valid OCSP signer; the job that renews signers makes one.")
    try:
        return ocsp.Signer(signer.certificate.x509, signing_key(signer.key_name))
    except KeyUnavailable as error:
        raise SignerUnavailable(str(error)) from error


def renew_if_due(authority: Authority, now: datetime, *, actor: Actor = SYSTEM) -> OcspSigner | None:
    """Make a new signer when `authority` has none, or one in the second half of its life. Return it, or None.

    A signer ends with its authority at the latest; one that already does is not renewed. Raises KeyUnavailable, or
    IssuerTooOld when the authority itself has ended.
    """
    with transaction.atomic():
        # Of two jobs at the same time, the second finds the signer that the first has made.
        Authority.objects.select_for_update(no_key=True).get(pk=authority.pk)
        latest = _latest(authority.pk, now)
        if latest and not _is_due(latest, authority, now):
            return None
        return _make(authority, now, actor)


def _latest(authority_id: int, now: datetime) -> OcspSigner | None:
    valid = Certificate.objects.valid(now).filter(purpose=Purpose.OCSP_SIGNER, authority_id=authority_id)
    signers = OcspSigner.objects.filter(authority_id=authority_id, certificate__in=valid)
    return signers.select_related("certificate").order_by("-certificate__not_after", "-pk").first()


def _is_due(signer: OcspSigner, authority: Authority, now: datetime) -> bool:
    ends = signer.certificate.not_after
    return ends - now <= RENEWED_BEFORE_END and ends < authority.x509.not_valid_after_utc


def _make(authority: Authority, now: datetime, actor: Actor) -> OcspSigner:
    kind = key_type(authority.x509.public_key())
    assert kind is not None  # the door signs for no other kind
    # The random part keeps a key that a crash left without a row out of everybody's way.
    key_name = f"ocsp-{authority.slug}-{secrets.token_hex(4)}"
    request = InfrastructureRequest(
        purpose=Purpose.OCSP_SIGNER,
        public_key=create_key(key_name, kind).public_key(),
        common_name=f"{authority.name} OCSP signer"[:64],  # RFC 5280 appendix A.1: ub-common-name
        validity=VALIDITY,
    )
    certificate = issue_infrastructure(request, authority, now=now, actor=actor)
    return OcspSigner.objects.create(authority=authority, certificate=certificate, key_name=key_name)
