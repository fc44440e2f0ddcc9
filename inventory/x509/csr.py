"""Certification requests (PKCS #10, RFC 2986): parsed, bounded and proven before anything else looks at them."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import get_args

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.x509.oid import AttributeOID, PublicKeyAlgorithmOID

from inventory.x509 import keys

MAX_BYTES = 16 * 1024
# What a request may be signed with: whoever can forge the hash can forge the proof of possession.
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class MalformedRequest(ValueError):
    """The bytes are no certification request, or its signature does not prove possession of its key."""


@dataclass(frozen=True)
class CertificationRequest:
    """A request whose signature was verified. `key_type` is None for a key that no profile can allow.

    `spki` is the key as certificates hold it, a SubjectPublicKeyInfo in DER.
    """

    public_key: CertificateIssuerPublicKeyTypes
    key_type: keys.KeyType | None
    spki: bytes
    spki_sha256: bytes
    subject: x509.Name
    alternative_names: tuple[x509.GeneralName, ...]
    sha256: bytes
    # What EST links the request to its TLS connection by (RFC 7030 3.5). It is no secret of ours.
    challenge_password: bytes | None = None


def parse(der: bytes) -> CertificationRequest:
    """Return the request in `der`.

    Raises MalformedRequest, which names the field: too large, not DER, a key or extension that cannot be read, or a
    signature that does not verify with the request's own key (RFC 2986 4.2, step 3). Unknown but readable key types are
    for the profile.
    """
    if len(der) > MAX_BYTES:
        raise MalformedRequest(f"The request has {len(der)} bytes; at most {MAX_BYTES} are read.")
    with _naming("The body is not a DER certification request (PKCS #10)."):
        request = x509.load_der_x509_csr(der)
    with _naming("The request's public key cannot be read (RFC 5280 4.1.2.7)."):
        public_key = request.public_key()
    # RFC 5280 4.1.2.4
    with _naming("The request's subject cannot be read; its texts must be UTF8String or PrintableString."):
        subject = request.subject
    with _naming("The request's extensions cannot be read (RFC 2985 5.4.2)."):
        alternative_names = _alternative_names(request)
    with _naming("The request's signature cannot be read (RFC 2986 4.2)."):
        _check_signature(request)
    if not isinstance(public_key, get_args(CertificateIssuerPublicKeyTypes)):
        raise MalformedRequest("The request's key cannot sign, so it proves nothing.")
    spki = keys.spki(public_key)
    return CertificationRequest(
        public_key=public_key,
        key_type=_key_type(request, public_key),
        spki=spki,
        spki_sha256=hashlib.sha256(spki).digest(),
        subject=subject,
        alternative_names=alternative_names,
        sha256=hashlib.sha256(der).digest(),
        challenge_password=_challenge_password(request),
    )


@contextmanager
def _naming(field: str) -> Iterator[None]:
    """Turn what the library cannot read into a refusal that says in which field it stands."""
    try:
        yield
    except MalformedRequest:
        raise
    except UnsupportedAlgorithm as error:
        raise MalformedRequest("The request's key or signature algorithm is not supported.") from error
    except x509.UnsupportedGeneralNameType as error:
        raise MalformedRequest("The request has an alternative name of a kind that is not supported.") from error
    except x509.DuplicateExtension as error:
        raise MalformedRequest(
            f"The request has the extension {error.oid.dotted_string} twice (RFC 5280 4.2)."
        ) from error
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise MalformedRequest(field) from error


def _key_type(request: x509.CertificateSigningRequest, key: CertificateIssuerPublicKeyTypes) -> keys.KeyType | None:
    # RFC 4055 1.2: such a key is for RSASSA-PSS only. The library would write it as one for any use: another key.
    # The library's stubs leave the attribute out for requests.
    if request.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS:  # type: ignore[attr-defined]
        return None
    return keys.key_type(key)


def _challenge_password(request: x509.CertificateSigningRequest) -> bytes | None:
    """Return the challengePassword (RFC 2985 5.4.1), None when there is none or the attributes cannot be read."""
    try:
        return request.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD).value
    except (x509.AttributeNotFound, ValueError):
        return None


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
