"""A device that speaks SCEP, on libraries alone: nothing of the portal's own encoding is in it."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from asn1crypto import cms, core
from asn1crypto import x509 as syntax
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import (
    PKCS7EnvelopeBuilder,
    PKCS7Options,
    load_der_pkcs7_certificates,
    pkcs7_decrypt_der,
)
from cryptography.x509.oid import AttributeOID

VERISIGN = "2.16.840.1.113733.1.9."
MESSAGE_TYPE, PKI_STATUS, FAIL_INFO, SENDER_NONCE, RECIPIENT_NONCE, TRANSACTION_ID = (
    VERISIGN + number for number in "234567"
)
FAIL_INFO_TEXT = "1.3.6.1.5.5.7.24.1"
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"


@lru_cache(maxsize=8)
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return an RSA key, the same for the same `number`: to make one takes longer than all that a test does."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def request_for(key: rsa.RSAPrivateKey, subject: x509.Name, challenge: str | None = None) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if challenge is not None:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge.encode())
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def self_signed(key: rsa.RSAPrivateKey, subject: x509.Name) -> x509.Certificate:
    # RFC 8894 2.3; devices whose clock stands at the beginning of time do so too.
    began = datetime(1970, 1, 2, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    dated = builder.serial_number(secrets.randbits(64) + 1).not_valid_before(began)
    return dated.not_valid_after(began + timedelta(days=365)).sign(key, hashes.SHA256())


@dataclass(frozen=True)
class Sender:
    """Who signs messages: a certificate and its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    def message(
        self,
        content: bytes,
        recipient: x509.Certificate,
        *,
        message_type: str = "19",
        transaction_id: str = "transaction-1",
        cipher: Any = algorithms.AES128,
        hash_name: str = "sha256",
        scheme: str = "rsassa_pkcs1v15",
    ) -> bytes:
        """Return the message that carries `content`, sealed to the key of `recipient`."""
        sealed = PKCS7EnvelopeBuilder().set_data(content).add_recipient(recipient)
        encrypted = sealed.set_content_encryption_algorithm(cipher).encrypt(Encoding.DER, [PKCS7Options.Binary])
        return self.signed(
            encrypted, message_type=message_type, transaction_id=transaction_id, hash_name=hash_name, scheme=scheme
        )

    def signed(
        self,
        content: bytes,
        *,
        message_type: str = "19",
        transaction_id: str = "transaction-1",
        hash_name: str = "sha256",
        scheme: str = "rsassa_pkcs1v15",
        without: Sequence[str] = (),
    ) -> bytes:
        """Return a message with `content` as it is, `without` some of its attributes."""
        values: Mapping[str, object] = {
            CONTENT_TYPE: "data",
            MESSAGE_DIGEST: hashlib.new(hash_name, content).digest(),
            MESSAGE_TYPE: core.PrintableString(message_type),
            TRANSACTION_ID: core.PrintableString(transaction_id),
            SENDER_NONCE: core.OctetString(b"0123456789abcdef"),
        }
        attributes = cms.CMSAttributes(
            cms.CMSAttribute({"type": kind, "values": [value]}) for kind, value in values.items() if kind not in without
        )
        own = syntax.Certificate.load(self.certificate.public_bytes(Encoding.DER))
        algorithm = getattr(hashes, hash_name.upper())()
        signer_info = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier(
                    "issuer_and_serial_number", {"issuer": own.issuer, "serial_number": own.serial_number}
                ),
                "digest_algorithm": {"algorithm": hash_name},
                "signed_attrs": attributes,
                "signature_algorithm": {"algorithm": scheme},
                "signature": self.key.sign(attributes.dump(), padding.PKCS1v15(), algorithm),
            }
        )
        signed_data = cms.SignedData(
            {
                "version": "v1",
                "digest_algorithms": [{"algorithm": hash_name}],
                "encap_content_info": {"content_type": "data", "content": content},
                "certificates": [own],
                "signer_infos": [signer_info],
            }
        )
        return bytes(cms.ContentInfo({"content_type": "signed_data", "content": signed_data}).dump())

    def read(self, answer: bytes, registrar: x509.Certificate) -> "Answer":
        """Return what an answer says, once its signature by `registrar` was verified."""
        signed = cms.ContentInfo.load(answer, strict=True)["content"]
        [info] = signed["signer_infos"]
        raw = {each["type"].dotted: each["values"][0] for each in info["signed_attrs"]}
        found = {kind: getattr(value, "parsed", value).native for kind, value in raw.items()}
        content = signed["encap_content_info"]["content"].native
        name = info["digest_algorithm"]["algorithm"].native
        key = registrar.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        key.verify(
            info["signature"].native,
            info["signed_attrs"].untag().dump(),
            padding.PKCS1v15(),
            getattr(hashes, name.upper())(),
        )
        assert info["signature_algorithm"]["algorithm"].native == "rsassa_pkcs1v15"
        assert found[MESSAGE_DIGEST] == hashlib.new(name, content or b"").digest()
        assert found[MESSAGE_TYPE] == "3"
        assert found[RECIPIENT_NONCE] == b"0123456789abcdef"
        assert len(found[SENDER_NONCE]) == 16 and found[SENDER_NONCE] != found[RECIPIENT_NONCE]
        return Answer(
            status=found[PKI_STATUS],
            fail_info=found.get(FAIL_INFO),
            text=found.get(FAIL_INFO_TEXT, ""),
            transaction_id=found[TRANSACTION_ID],
            hash_name=name,
            content=pkcs7_decrypt_der(content, self.certificate, self.key, []) if content else None,
            cipher=_cipher(content) if content else None,
        )


def _cipher(content: bytes) -> str:
    enveloped = cms.ContentInfo.load(content)["content"]
    return str(enveloped["encrypted_content_info"]["content_encryption_algorithm"]["algorithm"].native)


@dataclass(frozen=True)
class Answer:
    """A CertRep. `fail_info` and `text` say why it fails, or there is `content`."""

    status: str
    fail_info: str | None
    text: str
    transaction_id: str
    hash_name: str
    content: bytes | None
    cipher: str | None

    @property
    def certificate(self) -> x509.Certificate:
        assert self.content is not None, self.text
        [certificate] = load_der_pkcs7_certificates(self.content)
        return certificate
