"""Certification requests (PKCS #10, RFC 2986): parsed, bounded and proven before anything else looks at them."""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import get_args

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.x509.oid import AttributeOID, PublicKeyAlgorithmOID

from inventory.x509 import keys
from inventory.x509.der import object_identifier

MAX_BYTES = 16 * 1024
# What a request may be signed with: whoever can forge the hash can forge the proof of possession.
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_SIGNING_KEYS = get_args(CertificateIssuerPublicKeyTypes)
# Most requests have no attributes; to look for one that is not there costs the library more than to find these octets.
_CHALLENGE_PASSWORD = object_identifier(AttributeOID.CHALLENGE_PASSWORD.dotted_string)
# RFC 2985 5.4.2, and Microsoft's own; the library reads both.
_EXTENSION_REQUESTS = (object_identifier("1.2.840.113549.1.9.14"), object_identifier("1.3.6.1.4.1.311.2.1.14"))


# RFC 7468 7; older software says NEW.
_ARMOUR = re.compile(r"-----BEGIN (NEW )?CERTIFICATE REQUEST-----(.*?)-----END \1?CERTIFICATE REQUEST-----", re.DOTALL)


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


def from_text(text: str) -> bytes:
    """Return the DER in PEM, or in base64 without its armour. Raises MalformedRequest; what it is, `parse` tells."""
    armoured = _ARMOUR.search(text)
    if armoured is None and "-----" in text:
        raise MalformedRequest("The text is PEM of something else than a CERTIFICATE REQUEST (RFC 7468 7).")
    try:
        return base64.b64decode("".join((armoured[2] if armoured else text).split()), validate=True)
    except ValueError as error:
        raise MalformedRequest("The text is neither a PEM certification request nor the base64 of one.") from error


def parse(der: bytes) -> CertificationRequest:
    """Return the request in `der`.

    Raises MalformedRequest, which names the field: too large, not DER, a key or extension that cannot be read, or a
    signature that does not verify with the request's own key (RFC 2986 4.2, step 3). Unknown but readable key types are
    for the profile.
    """
    if len(der) > MAX_BYTES:
        raise MalformedRequest(f"The request has {len(der)} bytes; at most {MAX_BYTES} are read.")
    # One frame for all fields: one for each costs a tenth of the proof.
    field = "The body is not a DER certification request (PKCS #10)."
    try:
        request = x509.load_der_x509_csr(der)
        field = "The request's public key cannot be read (RFC 5280 4.1.2.7)."
        public_key = request.public_key()
        # RFC 5280 4.1.2.4
        field = "The request's subject cannot be read; its texts must be UTF8String or PrintableString."
        subject = request.subject
        field = "The request's extensions cannot be read (RFC 2985 5.4.2)."
        alternative_names = _alternative_names(request, der)
        field = "The request's signature cannot be read (RFC 2986 4.2)."
        _check_signature(request)
    except MalformedRequest:
        raise
    except _UNREADABLE as error:
        raise MalformedRequest(_what_is_wrong(error, field)) from error
    if not isinstance(public_key, _SIGNING_KEYS):
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
        challenge_password=_challenge_password(request, der),
    )


# What the library raises for what it cannot read.
_UNREADABLE = (
    UnsupportedAlgorithm,
    x509.UnsupportedGeneralNameType,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    ValueError,
    TypeError,
)


def _what_is_wrong(error: Exception, field: str) -> str:
    """Return the sentence for what the library could not read in `field`, itself a sentence."""
    match error:
        case UnsupportedAlgorithm():
            return "The request's key or signature algorithm is not supported."
        case x509.UnsupportedGeneralNameType():
            return "The request has an alternative name of a kind that is not supported."
        case x509.DuplicateExtension():
            return f"The request has the extension {error.oid.dotted_string} twice (RFC 5280 4.2)."
    return field


def _key_type(request: x509.CertificateSigningRequest, key: CertificateIssuerPublicKeyTypes) -> keys.KeyType | None:
    # RFC 4055 1.2: such a key is for RSASSA-PSS only. The library would write it as one for any use: another key.
    # The library's stubs leave the attribute out for requests.
    if request.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS:  # type: ignore[attr-defined]
        return None
    return keys.key_type(key)


def _challenge_password(request: x509.CertificateSigningRequest, encoded: bytes) -> bytes | None:
    """Return the challengePassword (RFC 2985 5.4.1), None when there is none or the attributes cannot be read."""
    if _CHALLENGE_PASSWORD not in encoded:
        return None
    try:
        return request.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD).value
    except (x509.AttributeNotFound, ValueError):
        return None


def _alternative_names(request: x509.CertificateSigningRequest, encoded: bytes) -> tuple[x509.GeneralName, ...]:
    if not any(attribute in encoded for attribute in _EXTENSION_REQUESTS):
        return ()
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
