"""Certificates in readable form, extension by extension."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from inventory.x509 import lenient


@dataclass(frozen=True)
class ReadableExtension:
    name: str
    critical: bool
    lines: tuple[str, ...]


@dataclass(frozen=True)
class ReadableCertificate:
    """What a page shows. `oddity`: why only the lenient reader can read it; empty for one that keeps to RFC 5280."""

    issuer: str
    signature_algorithm: str
    extensions: list[ReadableExtension]
    oddity: str = ""


# Whatever the library refuses to read, in a certificate or in its extensions.
REFUSED_BY_THE_LIBRARY = (
    ValueError, TypeError, OverflowError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)  # fmt: skip


def readable(der: bytes) -> ReadableCertificate:
    """Return a certificate in readable form. Raises lenient.Malformed, for none that is in the inventory."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.subject.rfc4514_string()  # names are read when they are asked for
        return ReadableCertificate(
            certificate.issuer.rfc4514_string(),
            _title(certificate.signature_algorithm_oid),
            extensions(certificate),
        )
    except REFUSED_BY_THE_LIBRARY as error:
        loose = lenient.read(der)
        return ReadableCertificate(
            lenient.text(loose.issuer),
            _title(loose.signature_algorithm),
            [ReadableExtension(_title(each.oid), each.critical, (each.value.hex(),)) for each in loose.extensions],
            oddity=" ".join(str(error).split()) or type(error).__name__,
        )


def extensions(certificate: x509.Certificate) -> list[ReadableExtension]:
    """Return every extension; what we cannot read is shown as its object identifier and bytes."""
    return [
        ReadableExtension(_title(extension.oid), extension.critical, tuple(_lines(extension.value)))
        for extension in certificate.extensions
    ]


def general_name(name: x509.GeneralName) -> str:
    """Return a name as OpenSSL prints it: `DNS:meter-1.example`."""
    if isinstance(name, x509.DirectoryName):
        return f"dirName:{name.value.rfc4514_string()}"
    if isinstance(name, x509.OtherName):
        return f"otherName:{name.type_id.dotted_string}:{name.value.hex()}"
    kinds = {x509.DNSName: "DNS", x509.UniformResourceIdentifier: "URI", x509.RFC822Name: "email", x509.IPAddress: "IP"}
    return f"{kinds.get(type(name), 'registeredID')}:{_plain(name.value)}"


def _title(oid: x509.ObjectIdentifier) -> str:
    name = oid._name  # the only name cryptography has for it
    return oid.dotted_string if name == "Unknown OID" else name


def _plain(value: object) -> str:
    return value.dotted_string if isinstance(value, x509.ObjectIdentifier) else str(value)


def _key_usage(value: x509.KeyUsage) -> Iterable[str]:
    names = [
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign",
    ]  # fmt: skip
    yield ", ".join(name.replace("_", " ") for name in names if getattr(value, name))


def _basic_constraints(value: x509.BasicConstraints) -> Iterable[str]:
    limit = "" if value.path_length is None else f", path length {value.path_length}"
    yield f"certificate authority{limit}" if value.ca else "end entity"


def _distribution_points(value: x509.CRLDistributionPoints) -> Iterable[str]:
    for point in value:
        yield from (general_name(name) for name in point.full_name or [])


def _authority_key(value: x509.AuthorityKeyIdentifier) -> Iterable[str]:
    if value.key_identifier:
        yield value.key_identifier.hex()
    yield from (general_name(name) for name in value.authority_cert_issuer or [])


_READERS: dict[type[x509.ExtensionType], Callable[[Any], Iterable[str]]] = {
    x509.KeyUsage: _key_usage,
    x509.BasicConstraints: _basic_constraints,
    x509.CRLDistributionPoints: _distribution_points,
    x509.AuthorityKeyIdentifier: _authority_key,
    x509.SubjectKeyIdentifier: lambda value: [value.digest.hex()],
    x509.ExtendedKeyUsage: lambda value: [_title(oid) for oid in value],
    x509.SubjectAlternativeName: lambda value: [general_name(name) for name in value],
    x509.AuthorityInformationAccess: lambda value: [
        f"{_title(access.access_method)}: {general_name(access.access_location)}" for access in value
    ],
    x509.UnrecognizedExtension: lambda value: [value.value.hex()],
}


def _lines(value: x509.ExtensionType) -> Iterable[str]:
    reader = _READERS.get(type(value))
    return reader(value) if reader else [value.public_bytes().hex()]
