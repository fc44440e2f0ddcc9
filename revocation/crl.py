"""CRLs as bytes (RFC 5280 5): prepared entries joined under one streamed signature. Pure: no clock, no store.

cryptography's builder copies its list for each revoked certificate and keeps an object for each. Here a million entries
are one join and one hash. Tests hold every byte but the signature equal to the builder's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from inventory.x509 import der
from inventory.x509.signing import algorithm_identifier, signed

_V2 = der.integer(1)
_REASON_CODE = der.object_identifier(CRLEntryExtensionOID.CRL_REASON.dotted_string)
_CRL_NUMBER = der.object_identifier(ExtensionOID.CRL_NUMBER.dotted_string)
# RFC 5280 5.3.1. `unspecified` is absent: the extension is left out instead of saying so.
REASON_CODES = {
    "keyCompromise": 1,
    "cACompromise": 2,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
    "privilegeWithdrawn": 9,
}


def _reason_extensions(code: int) -> bytes:
    value = der.element(der.OCTET_STRING, der.integer(code, der.ENUMERATED))
    return der.element(der.SEQUENCE, der.element(der.SEQUENCE, _REASON_CODE, value))


_REASON_EXTENSIONS = {name: _reason_extensions(code) for name, code in REASON_CODES.items()} | {"unspecified": b""}


def entry(serial: int, revoked_at: datetime, reason: str) -> bytes:
    """Return one element of revokedCertificates. `reason` is a name of RFC 5280 5.3.1; `revoked_at` is in UTC."""
    return der.element(der.SEQUENCE, der.integer(serial), der.time(revoked_at), _REASON_EXTENSIONS[reason])


def build(
    entries: Iterable[bytes],
    *,
    issuer: x509.Certificate,
    key: CertificateIssuerPrivateKeyTypes,
    number: int,
    this_update: datetime,
    next_update: datetime,
    distribution_point: str | None = None,
) -> bytes:
    """Return a signed CertificateList in DER, its `entries` in the order they come.

    With `distribution_point` it is the CRL of that address alone (critical issuingDistributionPoint, RFC 5280 5.2.5);
    without, it is complete for the issuer.
    """
    body = b"".join(entries)
    head = b"".join(
        [
            _V2,
            algorithm_identifier(key),
            issuer.subject.public_bytes(),
            der.time(this_update),
            der.time(next_update),
            # RFC 5280 5.1.2.6: when nothing is revoked, the list must be absent.
            der.header(der.SEQUENCE, len(body)) if body else b"",
        ]
    )
    tail = der.element(der.explicit(0), der.element(der.SEQUENCE, *_extensions(issuer, number, distribution_point)))
    length = len(head) + len(body) + len(tail)
    return signed(key, [der.header(der.SEQUENCE, length), head, body, tail])


def _extensions(issuer: x509.Certificate, number: int, distribution_point: str | None) -> list[bytes]:
    extensions = [
        _extension(_authority_key_identifier(issuer)),
        _extension(x509.CRLNumber(number)),
    ]
    if distribution_point is not None:
        names = [x509.UniformResourceIdentifier(distribution_point)]
        point = x509.IssuingDistributionPoint(names, None, False, False, None, False, False)
        extensions.append(_extension(point, critical=True))
    return extensions


def _authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _extension(value: x509.ExtensionType, *, critical: bool = False) -> bytes:
    return der.element(
        der.SEQUENCE,
        der.object_identifier(value.oid.dotted_string),
        der.TRUE if critical else b"",
        der.element(der.OCTET_STRING, value.public_bytes()),
    )


@dataclass(frozen=True)
class Head:
    """What a CRL says about itself."""

    number: int
    this_update: datetime
    next_update: datetime


def read_head(data: der.Buffer) -> Head:
    """Return number and dates of a CRL that `build` made, stepping over its entries without reading them.

    Over a memory map it touches the first and the last page, whatever the size. Raises DerError on anything else.
    """
    tbs = der.only_element(data, der.SEQUENCE).inside().take(der.SEQUENCE).inside()
    tbs.take(der.INTEGER)
    tbs.take(der.SEQUENCE)
    tbs.take(der.SEQUENCE)
    this_update, next_update = (tbs.take(der.UTC_TIME, der.GENERALIZED_TIME).as_time() for _ in range(2))
    tbs.take_if(der.SEQUENCE)
    extensions = tbs.take(der.explicit(0)).inside().take(der.SEQUENCE).inside()
    for extension in extensions.take_all(der.SEQUENCE):
        fields = extension.inside()
        if fields.take(der.OBJECT_IDENTIFIER).der == _CRL_NUMBER:
            value = fields.take(der.OCTET_STRING).inside().take(der.INTEGER)
            return Head(value.as_integer(), this_update, next_update)
    raise der.DerError("The CRL has no number.")
