"""Reads certificates of other authorities. Pure: bytes in, facts or the reason for a rejection out."""

import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import NameOID

from inventory.importing.parsing import distinguished_names, kinds
from inventory.importing.parsing.distinguished_names import content
from inventory.x509 import keys, lenient, names
from inventory.x509.keys import KeyType
from inventory.x509.reading import REFUSED_BY_THE_LIBRARY

MAX_BYTES = 64 * 1024
OTHER_KEY = "other"

_PEM = re.compile(
    rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----(.*?)-----END (?:TRUSTED |X509 )?CERTIFICATE-----", re.S
)
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2}[:\s]?)+")
_WHITE_SPACE = b" \t\n\r\v\f"
_SERIAL_OCTETS = 20
# Of a name in a reason.
_MOST_OF_A_NAME = 80
# The heads of SubjectPublicKeyInfo for keys whose length is fixed (RFC 5480 2, RFC 8410 4).
_FIXED_KEYS = {
    bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"): KeyType.EC_P256,
    bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004"): KeyType.EC_P384,
    bytes.fromhex("302a300506032b6570032100"): KeyType.ED25519,
}


class Unreadable(ValueError):
    """The bytes are not a certificate that the inventory can keep; the text says why."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority as the certificates that it signed name it. `identity` is the same for all of them."""

    identity: bytes
    name: str


class Facts(NamedTuple):
    der: bytes
    sha256: bytes
    spki_sha256: bytes
    serial: str
    subject: str
    key_type: str
    not_before: datetime
    not_after: datetime
    issuer: Issuer
    # Of a certificate authority: what the certificates that it signs will call it.
    authority: Issuer | None
    # None where RFC 5280 is violated so that only the lenient reader can read it.
    parsed: x509.Certificate | None


def identity(name: bytes, key_identifier: bytes) -> bytes:
    """Return the identity of an authority: the SHA-256 of its name (DER) and key identifier."""
    return hashlib.sha256(name + b"\0" + key_identifier).digest()


def own_identity(certificate: x509.Certificate) -> bytes:
    """Return the identity of the authority whose certificate this is."""
    try:
        key_identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        key_identifier = b""
    return identity(certificate.subject.public_bytes(), key_identifier)


def decode(value: str | bytes) -> list[bytes]:
    """Return the DER of each certificate in a cell: PEM, one or many, or one in base64, hexadecimal or DER.

    Raises Unreadable when there is none.
    """
    data = value.encode("utf-8", "backslashreplace") if isinstance(value, str) else value
    if data.startswith(_BEGIN):
        # One certificate and nothing else, as nearly every cell is: a fourth of the time of what follows.
        body = data[len(_BEGIN) :].rstrip()
        if body.endswith(_END) and body.find(b"-") == len(body) - len(_END) and b"\\" not in body:
            return [_from_base64(body.removesuffix(_END))]
    if b"-----BEGIN" in data:
        # A cell may have lost its line breaks to an escape.
        bodies = _PEM.findall(data.replace(b"\\n", b"\n"))
        if not bodies:
            raise Unreadable("The PEM block is no certificate, or its END line is missing.")
        return [_from_base64(body) for body in bodies]
    if data[:1] == b"\x30" and len(data) > 1 and data[1] >= 0x80:
        return [data]
    if kind := kinds.kind_of_no_certificate(data):
        raise Unreadable(f"This is {kind}.")
    compact = data.strip()
    if compact[:2] == b"\\x" and _HEX.fullmatch(compact[2:]):  # PostgreSQL's way to print bytes
        return decode(bytes.fromhex(compact[2:].decode("ascii")))
    if _HEX.fullmatch(compact) and compact[:2] == b"30":
        return [bytes.fromhex(re.sub(rb"[:\s]", b"", compact).decode("ascii"))]
    return [_from_base64(compact)]


def _from_base64(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text.translate(None, _WHITE_SPACE), strict_mode=True)
    except binascii.Error as error:
        raise Unreadable(f"The certificate is not base64: {str(error).lower()}.") from error


def read(der: bytes) -> Facts:
    """Return the facts of the certificate in `der`, which need not keep to RFC 5280. Raises Unreadable."""
    if len(der) > MAX_BYTES:
        raise Unreadable(f"The certificate has {len(der)} bytes; at most {MAX_BYTES} are kept.")
    try:
        facts = _read_strictly(der)
    except REFUSED_BY_THE_LIBRARY:
        facts = _read_leniently(der)
    if not 0 < int(facts.serial, 16) < 1 << 8 * _SERIAL_OCTETS:
        raise Unreadable(
            f"{_shortened(facts.subject, _MOST_OF_A_NAME)!r} has no positive serial number of at most 20 octets "
            "(RFC 5280 4.1.2.2)."
        )
    if facts.not_after <= facts.not_before:
        raise Unreadable(
            f"The certificate ends ({facts.not_after:%Y-%m-%d}) before it begins ({facts.not_before:%Y-%m-%d})."
        )
    return facts


def _read_strictly(der: bytes) -> Facts:
    certificate = x509.load_der_x509_certificate(der)
    parts = _parts(der)
    subject = distinguished_names.text(parts.subject) or certificate.subject.rfc4514_string()
    issuer_key, subject_key, is_authority = _key_identifiers(parts.behind_key, certificate)
    issuer_key = _of_issuer(issuer_key, subject_key, self_signed=parts.issuer == parts.subject and is_authority)
    return Facts(
        der=der,
        sha256=hashlib.sha256(der).digest(),
        spki_sha256=hashlib.sha256(parts.public_key).digest(),
        serial=f"{certificate.serial_number:x}",
        subject=_shortened(subject),
        key_type=_key_type(parts.public_key),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        issuer=_issuer(parts.issuer, issuer_key, certificate),
        authority=Issuer(identity(parts.subject, subject_key), _shortened(subject)) if is_authority else None,
        parsed=certificate,
    )


def _read_leniently(der: bytes) -> Facts:
    try:
        certificate = lenient.read(der)
        subject, issuer = lenient.text(certificate.subject), lenient.text(certificate.issuer)
    except lenient.Malformed as error:
        kind = kinds.kind_of_no_certificate(der)
        raise Unreadable(
            f"This is {kind}." if kind else f"The bytes are no certificate (RFC 5280): {error}."
        ) from error
    subject_key = certificate.subject_key_identifier
    issuer_key = _of_issuer(
        certificate.authority_key_identifier,
        subject_key,
        self_signed=certificate.issuer == certificate.subject and certificate.is_authority,
    )
    return Facts(
        der=der,
        sha256=hashlib.sha256(der).digest(),
        spki_sha256=hashlib.sha256(certificate.public_key).digest(),
        serial=f"{certificate.serial:x}",
        subject=_shortened(subject),
        key_type=_key_type(certificate.public_key),
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        issuer=Issuer(identity(certificate.issuer, issuer_key), _shortened(issuer)),
        authority=(
            Issuer(identity(certificate.subject, subject_key), _shortened(subject))
            if certificate.is_authority
            else None
        ),
        parsed=None,
    )


def _of_issuer(issuer_key: bytes, subject_key: bytes, *, self_signed: bool) -> bytes:
    """Return which key signed. RFC 5280 4.2.1.1: a self-signed certificate of an authority may leave it out."""
    return issuer_key or (subject_key if self_signed else b"")


_extensions: dict[bytes, tuple[bytes, bytes, bool]] = {}
_MOST_EXTENSIONS_KEPT = 10_000
# What is said of every device is short; memory must not grow with what is long and said once.
_LONGEST_EXTENSIONS_KEPT = 1024


def _key_identifiers(octets: bytes, certificate: x509.Certificate) -> tuple[bytes, bytes, bool]:
    """Return which key signed, which key is the certificate's own, and whether that is an authority's.

    `octets` hold the extensions. Many authorities say the same of every device; each saying is read once.
    """
    if len(octets) > _LONGEST_EXTENSIONS_KEPT:
        return _read_key_identifiers(certificate.extensions)
    known = _extensions.get(octets)
    if known is None:
        if len(_extensions) >= _MOST_EXTENSIONS_KEPT:
            _extensions.clear()
        known = _extensions[octets] = _read_key_identifiers(certificate.extensions)
    return known


def _read_key_identifiers(extensions: x509.Extensions) -> tuple[bytes, bytes, bool]:
    issuer_key, subject_key, is_authority = b"", b"", False
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.AuthorityKeyIdentifier):
            issuer_key = value.key_identifier or b""
        elif isinstance(value, x509.SubjectKeyIdentifier):
            subject_key = value.digest
        elif isinstance(value, x509.BasicConstraints):
            is_authority = value.ca
    return issuer_key, subject_key, is_authority


class _Parts(NamedTuple):
    """Elements of a TBSCertificate (RFC 5280 4.1), byte for byte."""

    issuer: bytes
    subject: bytes
    public_key: bytes
    # Unique identifiers and extensions.
    behind_key: bytes


def _parts(der: bytes) -> _Parts:
    """Cut `der`, which has been parsed strictly: lengths are right and tags have one octet."""
    at, _ = content(der, 0)
    at, end = content(der, at)
    if der[at] == 0xA0:  # version
        _, at = content(der, at)
    for _skipped in ("serialNumber", "signature"):
        _, at = content(der, at)
    _, issuer_end = content(der, at)
    _, subject_at = content(der, issuer_end)  # validity
    _, subject_end = content(der, subject_at)
    _, key_end = content(der, subject_end)
    return _Parts(der[at:issuer_end], der[subject_at:subject_end], der[subject_end:key_end], der[key_end:end])


_issuers: dict[tuple[bytes, bytes], Issuer] = {}
_MOST_ISSUERS_KEPT = 10_000


def _issuer(name: bytes, key_identifier: bytes, certificate: x509.Certificate) -> Issuer:
    """Return the issuer; a file of millions has a handful, so each is made once."""
    known = _issuers.get((name, key_identifier))
    if known is None:
        if len(_issuers) >= _MOST_ISSUERS_KEPT:
            _issuers.clear()
        text = _shortened(certificate.issuer.rfc4514_string())
        known = _issuers[name, key_identifier] = Issuer(identity(name, key_identifier), text)
    return known


def _key_type(public_key: bytes) -> str:
    for head, kind in _FIXED_KEYS.items():
        if public_key.startswith(head):
            return kind.value
    try:
        return keys.key_type(load_der_public_key(public_key)) or OTHER_KEY
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return OTHER_KEY


def _shortened(text: str, most: int = names.MAX_SUBJECT_CHARACTERS) -> str:
    """Return a name as it is shown and searched; the whole one is in the certificate."""
    text = text.replace("\0", "\\00")
    return text if len(text) <= most else text[: most - 1] + "…"


def common_name(facts: Facts) -> str:
    """Return the last common name, the most specific, or nothing."""
    return _last_in_subject(facts, NameOID.COMMON_NAME)


def subject_serial(facts: Facts) -> str:
    return _last_in_subject(facts, NameOID.SERIAL_NUMBER)


def _last_in_subject(facts: Facts, oid: x509.ObjectIdentifier) -> str:
    if facts.parsed is None:
        subject = lenient.attributes(lenient.read(facts.der).subject)
        return next((each.text for each in reversed(subject) if each.type == oid), "")
    found = facts.parsed.subject.get_attributes_for_oid(oid)
    return str(found[-1].value) if found else ""


def dns_name(facts: Facts) -> str:
    """Return the first alternative name of the kind, or nothing."""
    return _alternative_name(facts, x509.DNSName, lenient.DNS_NAME)


def uri(facts: Facts) -> str:
    """Return the first alternative name of the kind, or nothing."""
    return _alternative_name(facts, x509.UniformResourceIdentifier, lenient.URI)


def _alternative_name(facts: Facts, kind: type[x509.DNSName] | type[x509.UniformResourceIdentifier], tag: int) -> str:
    if facts.parsed is None:
        return next(iter(lenient.read(facts.der).alternative_names(tag)), "")
    return next((str(name.value) for name in names.alternative_names(facts.parsed) if isinstance(name, kind)), "")
