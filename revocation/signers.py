"""Delegated OCSP signers: a key of their own for each authority's answers, under a certificate of two weeks.

Clients do not ask whether the signer itself is revoked (id-pkix-ocsp-nocheck), so it lives for a short time.
"""

from datetime import datetime, timedelta

from inventory.audit.record import SYSTEM, Actor
from inventory.issuing.delegates import Delegation
from inventory.issuing.keys.software import KeyUnavailable
from inventory.issuing.keys.store import signing_key
from inventory.models import Authority, Purpose
from inventory.x509.keys import key_type
from revocation import ocsp
from revocation.models import OcspSigner

VALIDITY = timedelta(days=14)
_SIGNERS = Delegation(OcspSigner, Purpose.OCSP_SIGNER, "OCSP signer", "ocsp", VALIDITY, VALIDITY / 2)


class SignerUnavailable(Exception):
    """No key can answer for the authority at the moment; the text says what is missing."""


def load(authority_id: int, now: datetime) -> ocsp.Signer:
    """Return the latest signer of an authority, its key decrypted. One query. Raises SignerUnavailable."""
    signers = _SIGNERS.valid(authority_id, now)
    if not signers:
        raise SignerUnavailable("The authority has no valid OCSP signer; the job that renews signers makes one.")
    try:
        return ocsp.Signer(signers[0].certificate.x509, signing_key(signers[0].key_name))
    except KeyUnavailable as error:
        raise SignerUnavailable(str(error)) from error


def renew_if_due(authority: Authority, now: datetime, *, actor: Actor = SYSTEM) -> OcspSigner | None:
    """Make a new signer when `authority` has none, or one in the second half of its life. See `Delegation`."""
    kind = key_type(authority.x509.public_key())
    assert kind is not None  # the door signs for no other kind
    return _SIGNERS.renew_if_due(authority, kind, now, actor=actor)
