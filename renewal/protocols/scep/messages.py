"""SCEP messages (RFC 8894 3): bytes in, values out, and back. Pure.

A message is signed by its sender, and what it says is sealed to the receiver's RSA key: CMS in CMS. Some clients write
BER, so reading is left to a library that takes it; what is written here is DER.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from asn1crypto import cms as syntax
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7EnvelopeBuilder, PKCS7Options

from inventory.x509 import der
from renewal.protocols import cms

LONGEST_TRANSACTION_ID = 255
LONGEST_NONCE = 64


class MessageType(StrEnum):
    """RFC 8894 3.2.1.2. A message of any other type is refused."""

    CERT_REP = "3"
    RENEWAL_REQ = "17"
    PKCS_REQ = "19"
    CERT_POLL = "20"
    GET_CERT = "21"
    GET_CRL = "22"


class PkiStatus(StrEnum):
    """RFC 8894 3.2.1.3."""

    SUCCESS = "0"
    FAILURE = "2"
    PENDING = "3"


class FailInfo(StrEnum):
    """RFC 8894 3.2.1.4."""

    BAD_ALG = "0"
    BAD_MESSAGE_CHECK = "1"
    BAD_REQUEST = "2"
    BAD_TIME = "3"
    BAD_CERT_ID = "4"


class NotAMessage(ValueError):
    """The bytes are no SCEP message, or say of none which transaction it belongs to: there is nobody to answer."""


# Whoever captures a message may send its content again under a signature of his own. If he could tell what does not
# open from what opens to nothing of sense, he could read it, octet by octet (RFC 3218; padding oracles of CBC).
UNREADABLE = (
    "The message does not open by the key that it is sealed to, or what is in it is not what its type asks for: "
    "for a certificate, a PKCS #10 request whose signature proves its key."
)


class Unacceptable(Exception):
    """A message that is answered by a failure; the text says why."""

    def __init__(self, fail_info: FailInfo, text: str) -> None:
        super().__init__(text)
        self.fail_info = fail_info


_TRANSACTION_ID = "2.16.840.1.113733.1.9.7"
_MESSAGE_TYPE = "2.16.840.1.113733.1.9.2"
_PKI_STATUS = "2.16.840.1.113733.1.9.3"
_FAIL_INFO = "2.16.840.1.113733.1.9.4"
_SENDER_NONCE = "2.16.840.1.113733.1.9.5"
_RECIPIENT_NONCE = "2.16.840.1.113733.1.9.6"
_FAIL_INFO_TEXT = "1.3.6.1.5.5.7.24.1"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"

_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_HASH_IDENTIFIERS = {
    "sha256": der.object_identifier("2.16.840.1.101.3.4.2.1"),
    "sha384": der.object_identifier("2.16.840.1.101.3.4.2.2"),
    "sha512": der.object_identifier("2.16.840.1.101.3.4.2.3"),
}
# RFC 8017 A.2. Clients know signatures by the bare name of the key's algorithm best; some write it with the hash.
_RSA_ENCRYPTION = der.element(der.SEQUENCE, der.object_identifier("1.2.840.113549.1.1.1"), b"\x05\x00")
_RSA_SIGNATURES = {"rsassa_pkcs1v15", "sha256_rsa", "sha384_rsa", "sha512_rsa"}
_AES = {"aes128_cbc": 16, "aes192_cbc": 24, "aes256_cbc": 32}
_AES_BLOCK_BITS = 128

# What the library raises for what it cannot read.
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)
_Read = TypeVar("_Read")


def _readable(read: Callable[[], _Read], problem: Exception) -> _Read:
    """Return what `read` returns. Raises `problem` when the bytes cannot be read so."""
    try:
        return read()
    except _UNREADABLE as error:
        raise problem from error


@dataclass(frozen=True)
class PkiMessage:
    """A message as it came. What it says of itself is proven by `verify` alone.

    `hash_name` and `scheme` are the library's names of what it says to be signed with; `message_digest` is empty when
    it states none. `signed_attributes` are the octets that are signed. `content` is sealed, and empty when it is
    not there.
    """

    transaction_id: str
    sender_nonce: bytes
    message_type: str
    hash_name: str
    scheme: str
    message_digest: bytes
    content: bytes
    signed_attributes: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    signer: bytes | None
    """The signer's certificate in DER, None when it is not in the message."""


def parse(encoded: bytes) -> PkiMessage:
    """Return the message in `encoded`, unproven. Raises NotAMessage."""
    problem = NotAMessage("The body is not a SCEP message: a CMS SignedData with one signer (RFC 8894 3.1).")
    return _readable(lambda: _parse(encoded), problem)


def _parse(encoded: bytes) -> PkiMessage:
    info = syntax.ContentInfo.load(encoded, strict=True)
    if info["content_type"].native != "signed_data":
        raise ValueError("It is another kind of CMS.")
    signed = info["content"]
    [signer_info] = signed["signer_infos"]
    attributes = _attributes(signer_info)
    transaction_id, nonce = attributes[_TRANSACTION_ID].decode("ascii"), attributes[_SENDER_NONCE]
    if not 0 < len(transaction_id) <= LONGEST_TRANSACTION_ID or not 0 < len(nonce) <= LONGEST_NONCE:
        raise ValueError("Its transaction or its nonce is empty, or too long.")
    content = signed["encap_content_info"]["content"].native
    return PkiMessage(
        transaction_id=transaction_id,
        sender_nonce=nonce,
        message_type=attributes[_MESSAGE_TYPE].decode("ascii"),
        hash_name=str(signer_info["digest_algorithm"]["algorithm"].native),
        scheme=str(signer_info["signature_algorithm"]["algorithm"].native),
        message_digest=attributes.get(_MESSAGE_DIGEST, b""),
        content=content if isinstance(content, bytes) else b"",
        # In the order in which they came: some clients do not sort them.
        signed_attributes=der.element(der.SET, signer_info["signed_attrs"].contents),
        signature=bytes(signer_info["signature"]),
        signer=_signer(signed, signer_info["sid"].chosen),
    )


def _attributes(signer_info: Any) -> dict[str, bytes]:
    """Return the content of each signed attribute of one value by its object identifier."""
    found: dict[str, bytes] = {}
    for attribute in signer_info["signed_attrs"]:
        name = attribute["type"].dotted
        if name in found:
            raise ValueError(f"The attribute {name} is there twice.")
        [value] = attribute["values"]
        # Of an attribute that the library does not know, the value is still encoded.
        found[name] = getattr(value, "parsed", value).contents
    return found


def _signer(signed: Any, named: Any) -> bytes | None:
    issuer, serial = named["issuer"].dump(), named["serial_number"].native
    for choice in signed["certificates"]:
        certificate = choice.chosen
        if certificate.serial_number == serial and certificate.issuer.dump() == issuer:
            return bytes(certificate.dump())
    return None


def verify(message: PkiMessage) -> x509.Certificate:
    """Return the certificate whose key signed `message`. Raises Unacceptable unless the signature proves all of it."""
    if message.signer is None:
        raise Unacceptable(FailInfo.BAD_MESSAGE_CHECK, "The certificate of the message's signer is not in the message.")
    try:
        signer = x509.load_der_x509_certificate(message.signer)
        key = signer.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        text = "The certificate of the message's signer cannot be read."
        raise Unacceptable(FailInfo.BAD_MESSAGE_CHECK, text) from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise Unacceptable(FailInfo.BAD_ALG, "The message is signed by another key than RSA, to which none can answer.")
    if message.hash_name not in _HASHES or message.scheme not in _RSA_SIGNATURES:
        text = f"The message is signed with {message.scheme} and {message.hash_name}; RSA and SHA-2 are needed."
        raise Unacceptable(FailInfo.BAD_ALG, text)
    try:
        key.verify(message.signature, message.signed_attributes, padding.PKCS1v15(), _HASHES[message.hash_name])
    except InvalidSignature:
        text = "The message's signature does not verify with the certificate of its signer."
        raise Unacceptable(FailInfo.BAD_MESSAGE_CHECK, text) from None
    if message.message_digest != hashlib.new(message.hash_name, message.content).digest():
        raise Unacceptable(FailInfo.BAD_MESSAGE_CHECK, "The message's digest is not that of its content.")
    return signer


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Return whether a certificate is by the key that it names: nobody else says whose it is (RFC 8894 2.3)."""
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


@dataclass(frozen=True)
class Envelope:
    """A sealed content. `cipher` is the library's name of what it is encrypted with."""

    cipher: str
    _keys: Mapping[int, bytes] = field(repr=False)
    _initial_vector: bytes = field(repr=False)
    _encrypted: bytes = field(repr=False)

    @property
    def serials(self) -> Collection[int]:
        """The serial numbers of the certificates to whose keys it is sealed."""
        return self._keys.keys()

    def open(self, serial: int, key: rsa.RSAPrivateKey) -> bytes:
        """Return the content by the key of the certificate with `serial`. Raises Unacceptable, always by UNREADABLE."""
        try:
            # The library's RSA gives a random key for a padding that is none.
            content_key = key.decrypt(self._keys.get(serial, b""), padding.PKCS1v15())
            if len(content_key) != _AES[self.cipher]:
                raise ValueError("The key has another length than its cipher needs.")
            decryptor = Cipher(algorithms.AES(content_key), modes.CBC(self._initial_vector)).decryptor()
            padded = decryptor.update(self._encrypted) + decryptor.finalize()
            unpadder = PKCS7(_AES_BLOCK_BITS).unpadder()
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError as error:
            raise Unacceptable(FailInfo.BAD_MESSAGE_CHECK, UNREADABLE) from error


def envelope(content: bytes) -> Envelope:
    """Return the envelope (RFC 8894 3.1) that a message carries. Raises Unacceptable, also for ciphers but AES."""
    problem = Unacceptable(FailInfo.BAD_MESSAGE_CHECK, "The message's content is not a sealed envelope.")
    found, key_schemes = _readable(lambda: _envelope(content), problem)
    if found.cipher not in _AES:
        raise Unacceptable(FailInfo.BAD_ALG, f"The message is encrypted with {found.cipher}; AES is needed.")
    if key_schemes != {"rsaes_pkcs1v15"}:
        text = f"The message's key is encrypted with {', '.join(sorted(key_schemes)) or 'nothing'}; RSA is needed."
        raise Unacceptable(FailInfo.BAD_ALG, text)
    return found


def _envelope(content: bytes) -> tuple[Envelope, set[str]]:
    info = syntax.ContentInfo.load(content, strict=True)
    if info["content_type"].native != "enveloped_data":
        raise ValueError("It is another kind of CMS.")
    enveloped = info["content"]
    encrypted = enveloped["encrypted_content_info"]
    cipher = encrypted["content_encryption_algorithm"]
    keys, schemes = {}, set()
    for recipient in enveloped["recipient_infos"]:
        transport = recipient.chosen
        schemes.add(str(transport["key_encryption_algorithm"]["algorithm"].native))
        keys[transport["rid"].chosen["serial_number"].native] = bytes(transport["encrypted_key"])
    name = str(cipher["algorithm"].native)
    vector = bytes(cipher["parameters"]) if name in _AES else b""
    return Envelope(name, keys, vector, bytes(encrypted["encrypted_content"])), schemes


@dataclass(frozen=True)
class CertificateName:
    """A certificate by its issuer's name and its serial number (RFC 5652 10.2.4)."""

    issuer: x509.Name
    serial: int


def certificate_name(content: bytes) -> CertificateName:
    """Return the IssuerAndSerialNumber in the opened content of GetCert and GetCRL. Raises Unacceptable as `open`."""
    return _readable(lambda: _certificate_name(content), Unacceptable(FailInfo.BAD_MESSAGE_CHECK, UNREADABLE))


def _certificate_name(content: bytes) -> CertificateName:
    walk = der.only_element(content, der.SEQUENCE).inside()
    issuer, serial = walk.take(der.SEQUENCE), walk.take(der.INTEGER)
    walk.finish()
    # The library reads names as parts of other structures only.
    return CertificateName(_name(issuer.der), serial.as_integer())


def check_poll(content: bytes) -> None:
    """Raise Unacceptable, as `open`, unless the content is the IssuerAndSubject of a CertPoll (RFC 8894 3.3.3)."""
    _readable(lambda: _issuer_and_subject(content), Unacceptable(FailInfo.BAD_MESSAGE_CHECK, UNREADABLE))


def _issuer_and_subject(content: bytes) -> tuple[x509.Name, x509.Name]:
    walk = der.only_element(content, der.SEQUENCE).inside()
    names = _name(walk.take(der.SEQUENCE).der), _name(walk.take(der.SEQUENCE).der)
    walk.finish()
    return names


def _name(encoded: bytes) -> x509.Name:
    loaded = syntax.Name.load(encoded, strict=True)
    return x509.Name(
        x509.RelativeDistinguishedName(
            x509.NameAttribute(x509.ObjectIdentifier(part["type"].dotted), part["value"].native) for part in rdn
        )
        for rdn in loaded.chosen
    )


@dataclass(frozen=True)
class Voice:
    """Who answers: certificate and key of a registration authority, and the nonce of this answer."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    nonce: bytes


def success(message: PkiMessage, content: bytes, recipient: x509.Certificate, cipher: str, voice: Voice) -> bytes:
    """Return a CertRep (RFC 8894 3.3.2) with `content`, a SignedData, sealed to the key of `recipient`.

    `cipher` is that of the request, which is answered in kind where the library can.
    """
    algorithm = algorithms.AES256 if cipher == "aes256_cbc" else algorithms.AES128
    sealed = (
        PKCS7EnvelopeBuilder()
        .set_data(content)
        .add_recipient(recipient)
        .set_content_encryption_algorithm(algorithm)
        .encrypt(Encoding.DER, [PKCS7Options.Binary])
    )
    return _reply(message, PkiStatus.SUCCESS, {}, sealed, voice)


def failure(message: PkiMessage, fail_info: FailInfo, text: str, voice: Voice) -> bytes:
    """Return a CertRep that refuses, with the reason for machines and for people (failInfoText)."""
    attributes = {
        _FAIL_INFO: der.element(der.PRINTABLE_STRING, fail_info.encode()),
        _FAIL_INFO_TEXT: der.element(der.UTF8_STRING, text.encode()),
    }
    return _reply(message, PkiStatus.FAILURE, attributes, None, voice)


def _reply(
    message: PkiMessage, status: PkiStatus, more: Mapping[str, bytes], content: bytes | None, voice: Voice
) -> bytes:
    name = message.hash_name if message.hash_name in _HASHES else "sha256"
    attributes = {
        _CONTENT_TYPE: cms.DATA,
        _MESSAGE_DIGEST: der.element(der.OCTET_STRING, hashlib.new(name, content or b"").digest()),
        _TRANSACTION_ID: der.element(der.PRINTABLE_STRING, message.transaction_id.encode()),
        _MESSAGE_TYPE: der.element(der.PRINTABLE_STRING, MessageType.CERT_REP.encode()),
        _PKI_STATUS: der.element(der.PRINTABLE_STRING, status.encode()),
        _SENDER_NONCE: der.element(der.OCTET_STRING, voice.nonce),
        _RECIPIENT_NONCE: der.element(der.OCTET_STRING, message.sender_nonce),
        **more,
    }
    # A SET OF, which DER orders (X.690 11.6), and which alone is signed.
    encoded = b"".join(
        sorted(
            der.element(der.SEQUENCE, der.object_identifier(kind), der.element(der.SET, value))
            for kind, value in attributes.items()
        )
    )
    signature = voice.key.sign(der.element(der.SET, encoded), padding.PKCS1v15(), _HASHES[name])
    certificate = voice.certificate
    digest = der.element(der.SEQUENCE, _HASH_IDENTIFIERS[name])
    signer_info = der.element(
        der.SEQUENCE,
        der.integer(1),
        der.element(der.SEQUENCE, certificate.issuer.public_bytes(), der.integer(certificate.serial_number)),
        digest,
        der.element(der.explicit(0), encoded),
        _RSA_ENCRYPTION,
        der.element(der.OCTET_STRING, signature),
    )
    carried = der.element(der.explicit(0), der.element(der.OCTET_STRING, content)) if content is not None else b""
    signed_data = der.element(
        der.SEQUENCE,
        der.integer(1),
        der.element(der.SET, digest),
        der.element(der.SEQUENCE, cms.DATA, carried),
        der.element(der.explicit(0), certificate.public_bytes(Encoding.DER)),
        der.element(der.SET, signer_info),
    )
    return cms.content_info(cms.SIGNED_DATA, signed_data)
