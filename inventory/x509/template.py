"""Certificates from DER with holes: what a profile's certificates have in common is encoded once.

Byte for byte what `certificate.build` gives for the same contents, up to the signature. Pure: no clock, no store.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha1
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from inventory.x509 import certificate, der
from inventory.x509.certificate import Pointers
from inventory.x509.signing import Sign, algorithm_identifier, signer

SERIAL_OCTETS = 20

_VERSION_3_AND_SERIAL = bytes.fromhex("a003020102") + der.header(der.INTEGER, SERIAL_OCTETS)
# A key identifier is the SHA-1 of the key (RFC 5280 4.2.1.2, method 1): always 20 octets.
_KEY_IDENTIFIER_FRAME = bytes.fromhex("301d0603551d0e04160414")
_EXTENSIONS = der.explicit(3)


class Blanks(NamedTuple):
    """What goes into the holes: what certificates of one template differ in.

    `serial` is the content of an INTEGER of exactly 20 octets. `subject` is a Name, `alternative_names` the value of
    that extension, empty for none, and `public_key` a SubjectPublicKeyInfo, all in DER.
    """

    serial: bytes
    not_before: datetime
    not_after: datetime
    subject: bytes
    public_key: bytes
    alternative_names: bytes = b""


@dataclass(frozen=True, slots=True)
class Template:
    """What certificates of end entities have in common under one issuer, for one CRL shard and one use of keys."""

    algorithm: bytes
    issuer: bytes
    before_key_identifier: bytes
    after_key_identifier: bytes
    after_alternative_names: bytes
    sign: Sign

    def to_be_signed(self, blanks: Blanks) -> bytes:
        """Return the TBSCertificate (RFC 5280 4.1.2)."""
        extensions = b"".join(
            (
                self.before_key_identifier,
                _KEY_IDENTIFIER_FRAME,
                key_identifier(blanks.public_key),
                self.after_key_identifier,
                _alternative_names(blanks) if blanks.alternative_names else b"",
                self.after_alternative_names,
            )
        )
        listed = der.header(der.SEQUENCE, len(extensions))
        validity = der.time(blanks.not_before) + der.time(blanks.not_after)
        content = b"".join(
            (
                _VERSION_3_AND_SERIAL,
                blanks.serial,
                self.algorithm,
                self.issuer,
                der.header(der.SEQUENCE, len(validity)),
                validity,
                blanks.subject,
                blanks.public_key,
                der.header(_EXTENSIONS, len(listed) + len(extensions)),
                listed,
                extensions,
            )
        )
        return der.header(der.SEQUENCE, len(content)) + content

    def fill(self, blanks: Blanks) -> bytes:
        """Return the signed certificate."""
        to_be_signed = self.to_be_signed(blanks)
        signature = self.sign(to_be_signed)
        content = b"".join(
            (to_be_signed, self.algorithm, der.header(der.BIT_STRING, len(signature) + 1), b"\0", signature)
        )
        return der.header(der.SEQUENCE, len(content)) + content


def compile_template(
    *,
    issuer: x509.Certificate,
    signing_key: CertificateIssuerPrivateKeyTypes,
    extended_key_usages: Sequence[x509.ObjectIdentifier],
    enciphers_keys: bool,
    pointers: Pointers,
) -> Template:
    """Return the template of what `issuer` signs with `signing_key`. Raises UnsupportedKey.

    `enciphers_keys`: whether the keys in its certificates may encipher keys, which RSA keys alone may. Every part is
    encoded by the library that encodes the reference.
    """
    return Template(
        algorithm=algorithm_identifier(signing_key),
        issuer=issuer.subject.public_bytes(),
        before_key_identifier=_extensions(
            [
                (certificate.basic_constraints(is_authority=False), True),
                (certificate.key_usage(is_authority=False, enciphers_keys=enciphers_keys), True),
            ]
        ),
        after_key_identifier=_extensions(
            [
                (certificate.authority_key_identifier(issuer), False),
                *([(x509.ExtendedKeyUsage(extended_key_usages), False)] if extended_key_usages else []),
            ]
        ),
        after_alternative_names=_extensions(
            [
                (certificate.crl_distribution_points(pointers), False),
                (certificate.authority_information_access(pointers), False),
            ]
        ),
        sign=signer(signing_key),
    )


def key_identifier(public_key: bytes) -> bytes:
    """Return the SHA-1 of the key in a SubjectPublicKeyInfo, without its algorithm (RFC 5280 4.2.1.2, method 1)."""
    algorithm = _content(public_key, 0)
    bits = _content(public_key, algorithm + 2 + public_key[algorithm + 1])
    # The first octet of a BIT STRING counts unused bits.
    return sha1(public_key[bits + 1 :], usedforsecurity=False).digest()


def _content(data: bytes, start: int) -> int:
    """Return where the content of the element at `start` begins."""
    length = data[start + 1]
    return start + 2 + (length & 0x7F if length >= 0x80 else 0)


_EMPTY_NAME = der.element(der.SEQUENCE, b"")
_SUBJECT_ALTERNATIVE_NAME = der.object_identifier(x509.SubjectAlternativeName.oid.dotted_string)


def _alternative_names(blanks: Blanks) -> bytes:
    # RFC 5280 4.2.1.6: critical exactly when the subject is empty.
    critical = der.TRUE if blanks.subject == _EMPTY_NAME else b""
    value = der.header(der.OCTET_STRING, len(blanks.alternative_names)) + blanks.alternative_names
    content = _SUBJECT_ALTERNATIVE_NAME + critical + value
    return der.header(der.SEQUENCE, len(content)) + content


def _extensions(values: Iterable[tuple[x509.ExtensionType, bool]]) -> bytes:
    """Return extensions, each critical or not, one after the other (RFC 5280 4.1)."""
    return b"".join(
        der.element(
            der.SEQUENCE,
            der.object_identifier(value.oid.dotted_string),
            der.TRUE if critical else b"",
            der.element(der.OCTET_STRING, value.public_bytes()),
        )
        for value, critical in values
    )
