"""Certificates and bundles that no library writes: DER built by hand, and vectors that a library's tests ship."""

import ssl
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import cryptography_vectors
from cryptography.x509 import ObjectIdentifier

from inventory.x509.lenient import Element, elements
from tests.inventory.importing.foreign import ForeignAuthority, der

OLD = ForeignAuthority("CN=Odd CA,O=Old")
EMPTY_RELATIVE_NAME = bytes.fromhex("3100")


def vector(*path: str) -> bytes:
    return Path(cryptography_vectors.__file__).parent.joinpath(*path).read_bytes()


def tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8 or 1)
    return bytes([tag]) + (bytes([size]) if size < 0x80 else bytes([0x80 | len(octets)]) + octets) + content


def oid(dotted: str) -> bytes:
    """Return an object identifier whose arcs are below 2^14."""
    first, second, *rest = map(int, ObjectIdentifier(dotted).dotted_string.split("."))
    octets = [40 * first + second]
    for arc in rest:
        octets += [arc] if arc < 0x80 else [0x80 | arc >> 7, arc & 0x7F]
    return tlv(0x06, bytes(octets))


def rebuilt(whole: bytes, **changed: bytes) -> bytes:
    """Return a certificate with other elements in fields of its TBSCertificate; its signature is wrong then."""
    tbs, algorithm, signature = parts_of(whole)
    names = ["version", "serial", "algorithm", "issuer", "validity", "subject", "public_key", "extensions"]
    fields = [changed.get(name, each.whole) for name, each in zip(names, elements(tbs.content, "TBS"), strict=True)]
    return tlv(0x30, tlv(0x30, *fields), algorithm.whole, signature.whole)


def parts_of(whole: bytes) -> Sequence[Element]:
    [outer] = elements(whole, "certificate")
    return elements(outer.content, "certificate")


def field(whole: bytes, number: int) -> Element:
    return elements(parts_of(whole)[0].content, "TBS")[number]


def common_name(text: str) -> bytes:
    """Return a relative name (DER)."""
    return tlv(0x31, tlv(0x30, oid("2.5.4.3"), tlv(0x0C, text.encode())))


def with_subject(*relative_names: bytes) -> bytes:
    return rebuilt(der(OLD.signs("CN=ODD-1")), subject=tlv(0x30, *relative_names))


def with_empty_relative_name() -> bytes:
    return with_subject(EMPTY_RELATIVE_NAME, common_name("ODD-1"))


def with_extension(dotted: str, value: bytes) -> bytes:
    """Return a certificate with one more extension, whatever its value."""
    whole = der(OLD.signs("CN=ODD-1"))
    [inner] = elements(field(whole, 7).content, "extensions")
    more = tlv(0x30, oid(dotted), tlv(0x04, value))
    return rebuilt(whole, extensions=tlv(0xA3, tlv(0x30, inner.content, more)))


def with_half_an_authority_key_identifier() -> bytes:
    """Return a certificate that names its issuer's issuer without a serial number (RFC 5280 4.2.1.1 forbids it)."""
    whole = der(OLD.signs("CN=ODD-1"))
    name = tlv(0xA1, tlv(0xA4, field(whole, 3).whole))
    extension = tlv(0x30, oid("2.5.29.35"), tlv(0x04, tlv(0x30, tlv(0x80, b"k" * 20), name)))
    return rebuilt(whole, extensions=tlv(0xA3, tlv(0x30, extension)))


def with_serial(content: bytes) -> bytes:
    return rebuilt(der(OLD.signs("CN=ODD-1")), serial=tlv(0x02, content))


def bundle(certificates: Sequence[bytes]) -> bytes:
    """Return a degenerate SignedData of certificates (RFC 5652 5.1)."""
    data = tlv(0x30, tlv(0x06, bytes.fromhex("2a864886f70d010701")))
    signed = tlv(0x30, tlv(0x02, b"\1"), tlv(0x31), data, tlv(0xA0, *certificates), tlv(0x31))
    signed_data = tlv(0x06, bytes.fromhex("2a864886f70d010702"))
    return tlv(0x30, signed_data, tlv(0xA0, signed))


def pem_of(whole: bytes) -> str:
    """Return PEM of what the library may refuse to write; what is PEM already stays."""
    return whole.decode() if whole.startswith(b"-----BEGIN") else ssl.DER_cert_to_PEM_cert(whole)


def zipped(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path
