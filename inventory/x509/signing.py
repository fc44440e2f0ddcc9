"""Signing assembled DER without a builder: certificates, CRLs and OCSP answers."""

from collections.abc import Callable, Iterable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from inventory.x509 import der
from inventory.x509.keys import signature_hash

Sign = Callable[[bytes], bytes]
"""Returns the signature over a message."""

_ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")  # RFC 5758 3.2: no parameters
_ECDSA_WITH_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")
_RSA_WITH_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")  # RFC 4055 5: NULL parameters
_ED25519 = bytes.fromhex("300506032b6570")  # RFC 8410 3: no parameters


class UnsupportedKey(TypeError):
    """The key is of a kind that no authority of ours has."""


def algorithm_identifier(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    """Return the AlgorithmIdentifier of what `sign` and `signer` do with `key`. Raises UnsupportedKey."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return _ED25519
    if isinstance(key, rsa.RSAPrivateKey):
        return _RSA_WITH_SHA256
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return _ECDSA_WITH_SHA384 if isinstance(signature_hash(key), hashes.SHA384) else _ECDSA_WITH_SHA256
    raise _unsupported(key)


def signer(key: CertificateIssuerPrivateKeyTypes) -> Sign:
    """Return what signs many short messages with `key`, its algorithm chosen once. Raises UnsupportedKey."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign
    algorithm = signature_hash(key) or hashes.SHA256()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        scheme, sign_ecdsa = ec.ECDSA(algorithm), key.sign
        return lambda message: sign_ecdsa(message, scheme)
    if isinstance(key, rsa.RSAPrivateKey):
        pad, sign_rsa = padding.PKCS1v15(), key.sign
        return lambda message: sign_rsa(message, pad, algorithm)
    raise _unsupported(key)


def sign(key: CertificateIssuerPrivateKeyTypes, parts: Iterable[bytes]) -> bytes:
    """Return the signature over the concatenated `parts`, which are hashed one by one. Raises UnsupportedKey."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(b"".join(parts))  # RFC 8032 5.1.6 reads the message twice: there is no digest to pass
    algorithm = signature_hash(key) or hashes.SHA256()
    digest = hashes.Hash(algorithm)
    for part in parts:
        digest.update(part)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(digest.finalize(), ec.ECDSA(Prehashed(algorithm)))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(digest.finalize(), padding.PKCS1v15(), Prehashed(algorithm))
    raise _unsupported(key)


def _unsupported(key: CertificateIssuerPrivateKeyTypes) -> UnsupportedKey:
    return UnsupportedKey(f"{type(key).__name__} is of a kind that no authority here has.")


def signed(key: CertificateIssuerPrivateKeyTypes, parts: Iterable[bytes], *after: bytes) -> bytes:
    """Return `SEQUENCE { parts, AlgorithmIdentifier, BIT STRING, after }`: the frame of CRLs and OCSP answers.

    `parts` together are the one element that is signed.
    """
    parts = list(parts)
    signature = der.element(der.BIT_STRING, b"\0", sign(key, parts))
    parts += [algorithm_identifier(key), signature, *after]
    return b"".join([der.header(der.SEQUENCE, sum(map(len, parts))), *parts])
