"""OCSP as bytes (RFC 6960): requests in, signed answers out. Pure: no clock, no store.

cryptography reads and builds answers for one certificate at a time; a request may ask for several. So both directions
are here, over `der`, and tests hold every byte but the signature of a single answer equal to cryptography's builder.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import OCSPExtensionOID

from inventory.x509 import der
from inventory.x509.signing import signed
from revocation.crl import REASON_CODES

MAX_REQUEST_BYTES = 16 * 1024
MAX_CERTIFICATES = 100
# RFC 9654 2.1: a responder rejects a nonce of 0 octets or of more than 128.
MAX_NONCE_OCTETS = 128
# RFC 5280 4.1.2.2 ends at 20; beyond this we do not even look it up.
_MAX_SERIAL_OCTETS = 64

_BASIC = der.object_identifier("1.3.6.1.5.5.7.48.1.1")  # id-pkix-ocsp-basic
_NONCE = der.object_identifier(OCSPExtensionOID.NONCE.dotted_string)
_HASHES = {
    der.object_identifier("1.3.14.3.2.26"): "sha1",
    der.object_identifier("2.16.840.1.101.3.4.2.1"): "sha256",
}


class MalformedRequest(ValueError):
    """The bytes are not an OCSP request that can be answered; the text says where."""


class ResponseStatus(IntEnum):
    """RFC 6960 4.2.1, OCSPResponseStatus of answers that say nothing about a certificate."""

    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    UNAUTHORIZED = 6


@dataclass(frozen=True)
class CertificateId:
    """Which certificate is asked about. `encoded` goes back unchanged, since clients compare it byte for byte."""

    encoded: bytes
    algorithm: str | None
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: int


@dataclass(frozen=True)
class Request:
    certificate_ids: tuple[CertificateId, ...]
    # The extension's value as it came: its OCTET STRING around the nonce.
    nonce: bytes | None


def parse(data: bytes) -> Request:
    """Return the request in `data`. Raises MalformedRequest and nothing else.

    A signature on the request is not asked for, so it is not looked at (RFC 6960 4.1.2: it is optional).
    """
    if len(data) > MAX_REQUEST_BYTES:
        raise MalformedRequest(f"The request has {len(data)} bytes; at most {MAX_REQUEST_BYTES} are read.")
    try:
        request = der.only_element(data, der.SEQUENCE).inside()
        contents = request.take(der.SEQUENCE).inside()
        request.take_if(der.explicit(0))
        request.finish()
        return _contents(contents)
    except der.DerError as error:
        raise MalformedRequest(f"The body is not a DER OCSP request: {error}") from error


def _contents(contents: der.Walk) -> Request:
    version = contents.take_if(der.explicit(0))
    if version and version.content != der.integer(0):
        raise MalformedRequest("Only version 1 of OCSP is spoken.")
    contents.take_if(der.explicit(1))  # requestorName: everybody may ask
    certificate_ids: list[CertificateId] = []
    for single in contents.take(der.SEQUENCE).inside().take_all(der.SEQUENCE):
        if len(certificate_ids) == MAX_CERTIFICATES:
            raise MalformedRequest(f"At most {MAX_CERTIFICATES} certificates are answered at once.")
        certificate_ids.append(_single_request(single))
    if not certificate_ids:
        raise MalformedRequest("The request asks about no certificate.")
    extensions = contents.take_if(der.explicit(2))
    contents.finish()
    return Request(tuple(certificate_ids), _nonce(extensions) if extensions else None)


def _single_request(single: der.Element) -> CertificateId:
    fields = single.inside()
    certificate_id = fields.take(der.SEQUENCE)
    extensions = fields.take_if(der.explicit(0))
    fields.finish()
    if extensions:
        _extensions(extensions)
    return _certificate_id(certificate_id)


def _certificate_id(element: der.Element) -> CertificateId:
    fields = element.inside()
    algorithm = fields.take(der.SEQUENCE).inside().take(der.OBJECT_IDENTIFIER)
    name_hash = fields.take(der.OCTET_STRING).content
    key_hash = fields.take(der.OCTET_STRING).content
    serial = fields.take(der.INTEGER)
    fields.finish()
    if len(serial.content) > _MAX_SERIAL_OCTETS:
        raise MalformedRequest(f"A serial number has more than {_MAX_SERIAL_OCTETS} octets.")
    return CertificateId(element.der, _HASHES.get(algorithm.der), name_hash, key_hash, serial.as_integer())


def _extensions(wrapped: der.Element) -> dict[bytes, bytes]:
    """Return values by object identifier. A critical one that is not the nonce refuses the request (RFC 6960 4.4)."""
    found: dict[bytes, bytes] = {}
    outer = wrapped.inside()
    extensions = outer.take(der.SEQUENCE).inside()
    outer.finish()
    for extension in extensions.take_all(der.SEQUENCE):
        fields = extension.inside()
        identifier = fields.take(der.OBJECT_IDENTIFIER).der
        critical = fields.take_if(der.BOOLEAN)
        value = fields.take(der.OCTET_STRING).content
        fields.finish()
        if identifier in found:
            raise MalformedRequest("An extension stands twice in the request.")
        if critical and critical.der == der.TRUE and identifier != _NONCE:
            raise MalformedRequest("The request has a critical extension that is not known here.")
        found[identifier] = value
    return found


def _nonce(wrapped: der.Element) -> bytes | None:
    value = _extensions(wrapped).get(_NONCE)
    if value is None:
        return None
    nonce = der.only_element(value, der.OCTET_STRING).content
    if not 1 <= len(nonce) <= MAX_NONCE_OCTETS:
        raise MalformedRequest(f"A nonce has {len(nonce)} octets; 1 to {MAX_NONCE_OCTETS} are allowed (RFC 9654).")
    return value


class IssuerIdentity:
    """Recognises the CertIDs of one issuer's certificates, under each hash that clients use."""

    def __init__(self, issuer: x509.Certificate) -> None:
        name = issuer.subject.public_bytes()
        key = _key_bits(issuer)
        # RFC 5019 2.1.1 asks for SHA-1 here; it finds the issuer and protects nothing.
        self._hashes = {
            algorithm: (hashlib.new(algorithm, name).digest(), hashlib.new(algorithm, key).digest())
            for algorithm in _HASHES.values()
        }

    def issued(self, certificate_id: CertificateId) -> bool:
        """Whether `certificate_id` names this issuer. It says nothing of whether the serial number exists."""
        named = (certificate_id.issuer_name_hash, certificate_id.issuer_key_hash)
        return certificate_id.algorithm is not None and self._hashes[certificate_id.algorithm] == named


def _key_bits(certificate: x509.Certificate) -> bytes:
    """Return the BIT STRING of the public key, without tag, length and unused bits (RFC 6960 4.1.1)."""
    info = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fields = der.only_element(info, der.SEQUENCE).inside()
    fields.take(der.SEQUENCE)
    return fields.take(der.BIT_STRING).content[1:]


@dataclass(frozen=True)
class Good:
    """Issued, and not revoked. Whether it expired is for the client to see."""


@dataclass(frozen=True)
class Unknown:
    """Never issued here, or by an issuer that is not answered for."""


@dataclass(frozen=True)
class Revoked:
    at: datetime
    reason: str


Status = Good | Unknown | Revoked


@dataclass(frozen=True)
class Signer:
    """The delegated signer of an authority's answers (RFC 6960 4.2.2.2)."""

    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes

    @cached_property
    def responder_id(self) -> bytes:
        key_hash = hashlib.sha1(_key_bits(self.certificate), usedforsecurity=False).digest()  # RFC 6960 4.2.1: KeyHash
        return der.element(der.explicit(2), der.element(der.OCTET_STRING, key_hash))

    @cached_property
    def certificates(self) -> bytes:
        encoded = self.certificate.public_bytes(Encoding.DER)
        return der.element(der.explicit(0), der.element(der.SEQUENCE, encoded))


@dataclass(frozen=True)
class Dates:
    """When an answer was signed, from when its facts hold, and when newer ones will be there."""

    produced_at: datetime
    this_update: datetime
    next_update: datetime


def build(
    answers: Sequence[tuple[CertificateId, Status]], *, signer: Signer, dates: Dates, nonce: bytes | None = None
) -> bytes:
    """Return a successful OCSPResponse in DER, with one single response for each answer, in their order."""
    times = der.generalized_time(dates.this_update) + der.element(
        der.explicit(0), der.generalized_time(dates.next_update)
    )
    singles = [
        der.element(der.SEQUENCE, certificate_id.encoded, _status(status), times) for certificate_id, status in answers
    ]
    response_data = der.element(
        der.SEQUENCE,
        signer.responder_id,
        der.generalized_time(dates.produced_at),
        der.element(der.SEQUENCE, *singles),
        _response_extensions(nonce),
    )
    basic = signed(signer.key, [response_data], signer.certificates)
    body = der.element(der.SEQUENCE, _BASIC, der.element(der.OCTET_STRING, basic))
    return der.element(der.SEQUENCE, der.integer(0, der.ENUMERATED), der.element(der.explicit(0), body))


def refusal(status: ResponseStatus) -> bytes:
    """Return an unsigned OCSPResponse that says only why there is no answer (RFC 6960 2.3)."""
    return der.element(der.SEQUENCE, der.integer(status, der.ENUMERATED))


def _status(status: Status) -> bytes:
    match status:
        case Good():
            return der.element(der.implicit(0), b"")
        case Unknown():
            return der.element(der.implicit(2), b"")
        case Revoked(at, reason):
            code = REASON_CODES.get(reason)
            # RFC 5280 5.3.1: `unspecified` is said by leaving the reason out.
            encoded = b"" if code is None else der.element(der.explicit(0), der.integer(code, der.ENUMERATED))
            return der.element(der.explicit(1), der.generalized_time(at), encoded)


def _response_extensions(nonce: bytes | None) -> bytes:
    if nonce is None:
        return b""
    extension = der.element(der.SEQUENCE, _NONCE, der.element(der.OCTET_STRING, nonce))
    return der.element(der.explicit(1), der.element(der.SEQUENCE, extension))
