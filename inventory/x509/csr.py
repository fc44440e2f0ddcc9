"""Certification requests (PKCS #10, RFC 2986): parsed, bounded and proven before anything else looks at them."""

import hashlib
from dataclasses import dataclass
from typing import get_args

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes

from inventory.x509 import keys

MAX_BYTES = 16 * 1024
# What a request may be signed with: whoever can forge the hash can forge the proof of possession.
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class MalformedRequest(ValueError):
    """The bytes are no certification request, or its signature does not prove possession of its key."""


@dataclass(frozen=True)
class CertificationRequest:
    """A request whose signature was verified. `spki` is its key as certificates hold it."""

    public_key: CertificateIssuerPublicKeyTypes
    key_type: keys.KeyType | None
    spki: bytes
    spki_sha256: bytes
    subject: x509.Name
    alternative_names: tuple[x509.GeneralName, ...]
    sha256: bytes


def parse(der: bytes) -> CertificationRequest:
    """Return the request in `der`.

    Raises MalformedRequest: too large, not DER, a key or extension that cannot be read, or a signature that does not
    verify with the request's own key (RFC 2986 4.2, step 3). Unknown but readable key types are for the profile.
    """
    if len(der) > MAX_BYTES:
        raise MalformedRequest(f"The request has {len(der)} bytes; at most {MAX_BYTES} are read.")
    try:
        request = x509.load_der_x509_csr(der)
        public_key = request.public_key()
        subject = request.subject
        alternative_names = _alternative_names(request)
        _check_signature(request)
        if not isinstance(public_key, get_args(CertificateIssuerPublicKeyTypes)):
            raise MalformedRequest("The request's key cannot sign, so it proves nothing.")
    except UnsupportedAlgorithm as error:
        raise MalformedRequest("The request's key or signature algorithm is not supported.") from error
    except x509.UnsupportedGeneralNameType as error:
        raise MalformedRequest("The request has an alternative name of a kind that is not supported.") from error
    except (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension) as error:
        if isinstance(error, MalformedRequest):
            raise
        raise MalformedRequest("The body is not a DER certification request (PKCS #10).") from error
    spki = keys.spki(public_key)
    return CertificationRequest(
        public_key=public_key,
        key_type=keys.key_type(public_key),
        spki=spki,
        spki_sha256=hashlib.sha256(spki).digest(),
        subject=subject,
        alternative_names=alternative_names,
        sha256=hashlib.sha256(der).digest(),
    )


def _alternative_names(request: x509.CertificateSigningRequest) -> tuple[x509.GeneralName, ...]:
    try:
        found = tuple(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return ()
    if not found:
        # RFC 5280 4.2.1.6: GeneralNames has at least one.
        raise MalformedRequest("The request has an extension for alternative names with none in it.")
    return found


def _check_signature(request: x509.CertificateSigningRequest) -> None:
    algorithm = request.signature_hash_algorithm
    if algorithm is not None and not isinstance(algorithm, _HASHES):
        raise MalformedRequest(f"The request is signed with {algorithm.name}; SHA-256, SHA-384 or SHA-512 is needed.")
    try:
        valid = request.is_signature_valid
    except InvalidSignature:
        valid = False
    if not valid:
        raise MalformedRequest("The request's signature does not verify with its own key.")
