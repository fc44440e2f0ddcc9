"""Public keys: their types, and the hash that identifies them."""

import hashlib
from enum import StrEnum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class KeyType(StrEnum):
    """Public keys that a profile can allow."""

    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    ED25519 = "ed25519"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    KeyType.EC_P256: "EC P-256",
    KeyType.EC_P384: "EC P-384",
    KeyType.ED25519: "Ed25519",
    KeyType.RSA_2048: "RSA 2048",
    KeyType.RSA_3072: "RSA 3072",
    KeyType.RSA_4096: "RSA 4096",
}
_RSA_BY_SIZE = {2048: KeyType.RSA_2048, 3072: KeyType.RSA_3072, 4096: KeyType.RSA_4096}
_CURVES = {"secp256r1": KeyType.EC_P256, "secp384r1": KeyType.EC_P384}


def key_type(key: PublicKeyTypes) -> KeyType | None:
    """Return the type of `key`, or None if no profile can allow it."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return KeyType.ED25519
    # RFC 8017 allows small exponents; implementations that pad badly make them dangerous.
    if isinstance(key, rsa.RSAPublicKey) and key.public_numbers().e >= 65537:
        return _RSA_BY_SIZE.get(key.key_size)
    return None


def spki(key: PublicKeyTypes) -> bytes:
    """Return the key's SubjectPublicKeyInfo (RFC 5280 4.1.2.7) in DER: the same in any certificate."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def spki_sha256(key: PublicKeyTypes) -> bytes:
    """Return the SHA-256 of the SubjectPublicKeyInfo, which identifies the key in the inventory."""
    return hashlib.sha256(spki(key)).digest()


def signature_hash(key: CertificateIssuerPrivateKeyTypes) -> hashes.SHA256 | hashes.SHA384 | None:
    """Return the hash that `key` signs with: as strong as its curve (RFC 5480 4), none for EdDSA."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256:
        return hashes.SHA384()
    return hashes.SHA256()
