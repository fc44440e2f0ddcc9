"""SCEP registration authorities: devices seal their requests to an RSA key, and most authorities are EC.

A device keeps the certificate that it once read, so each stays in use until it ends, beside its successor.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from inventory.audit.record import SYSTEM, Actor
from inventory.issuing.delegates import Delegation
from inventory.issuing.keys.software import KeyUnavailable
from inventory.issuing.keys.store import signing_key
from inventory.models import Authority, Purpose
from inventory.x509.keys import KeyType
from renewal.models import RegistrationAuthority

VALIDITY = timedelta(days=365)
RENEWED_BEFORE_END = timedelta(days=90)
_DELEGATION = Delegation(RegistrationAuthority, Purpose.SCEP_RA, "SCEP RA", "scep", VALIDITY, RENEWED_BEFORE_END)


class NobodyAnswers(Exception):
    """An authority has no registration authority whose key can be used; the text says what is missing."""


class Registrar(NamedTuple):
    """A registration authority, ready to sign and to decipher."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey


def load(authority_id: int, now: datetime) -> list[Registrar]:
    """Return those of an authority that are valid, the latest first, their keys decrypted. One query.

    Raises NobodyAnswers.
    """
    found = _DELEGATION.valid(authority_id, now)
    if not found:
        raise NobodyAnswers("The authority has no SCEP registration authority; a job makes one within a minute.")
    try:
        return [Registrar(each.certificate.x509, _key(each)) for each in found]
    except KeyUnavailable as error:
        raise NobodyAnswers("The key of the SCEP registration authority cannot be used.") from error


def _key(registrar: RegistrationAuthority) -> rsa.RSAPrivateKey:
    key = signing_key(registrar.key_name)
    assert isinstance(key, rsa.RSAPrivateKey)  # as `renew_if_due` makes them
    return key


def renew_if_due(authority: Authority, now: datetime, *, actor: Actor = SYSTEM) -> RegistrationAuthority | None:
    """Make a new one when `authority` has none, or one near its end. See `Delegation`."""
    return _DELEGATION.renew_if_due(authority, KeyType.RSA_2048, now, actor=actor)
