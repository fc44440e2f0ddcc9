"""CRLs as bytes (RFC 5280 5): prepared entries joined under one streamed signature. Pure: no clock, no store.

cryptography's builder copies its list for each revoked certificate and keeps an object for each. Here a million entries
are one join and one hash. Tests hold every byte but the signature equal to the builder's.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

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
    tbs = _after_issuer(data)
    this_update, next_update = _take_time(tbs), _take_time(tbs)
    tbs.take_if(der.SEQUENCE)
    extensions = tbs.take(der.explicit(0)).inside().take(der.SEQUENCE).inside()
    for extension in extensions.take_all(der.SEQUENCE):
        fields = extension.inside()
        if fields.take(der.OBJECT_IDENTIFIER).der == _CRL_NUMBER:
            value = fields.take(der.OCTET_STRING).inside().take(der.INTEGER)
            return Head(value.as_integer(), this_update, next_update)
    raise der.DerError("The CRL has no number.")


@dataclass(frozen=True)
class Entry:
    """What a CRL says of one certificate. `reason` is a name of RFC 5280 5.3.1, `revoked_at` in UTC."""

    serial: int
    revoked_at: datetime
    reason: str


_REASON_NAMES = {code: name for name, code in REASON_CODES.items()}


def read_first(data: der.Buffer, most: int) -> list[Entry]:
    """Return the first entries of a CRL that `build` made, at most so many, in its order.

    Over a memory map it touches the pages where these stand. Raises DerError on anything else.
    """
    tbs = _after_issuer(data)
    for _ in ("thisUpdate", "nextUpdate"):
        _take_time(tbs)
    revoked = tbs.take_if(der.SEQUENCE)
    return [_read(each) for each in islice(revoked.inside().take_all(der.SEQUENCE), most)] if revoked else []


def _read(element: der.Element) -> Entry:
    fields = element.inside()
    serial, revoked_at = fields.take(der.INTEGER).as_integer(), _take_time(fields)
    extensions = fields.take_if(der.SEQUENCE)
    if extensions is None:
        return Entry(serial, revoked_at, "unspecified")
    reason = extensions.inside().take(der.SEQUENCE).inside()
    reason.take(der.OBJECT_IDENTIFIER)
    code = reason.take(der.OCTET_STRING).inside().take(der.ENUMERATED).as_integer()
    if code not in _REASON_NAMES:
        raise der.DerError(f"No entry is made with reason {code}.")
    return Entry(serial, revoked_at, _REASON_NAMES[code])


def _after_issuer(data: der.Buffer) -> der.Walk:
    tbs = der.only_element(data, der.SEQUENCE).inside().take(der.SEQUENCE).inside()
    tbs.take(der.INTEGER)
    tbs.take(der.SEQUENCE)
    tbs.take(der.SEQUENCE)
    return tbs


def _take_time(walk: der.Walk) -> datetime:
    return walk.take(der.UTC_TIME, der.GENERALIZED_TIME).as_time()


def find(encoded: bytes, serials: Collection[int]) -> Entry | None:
    """Return the entry of the first of `serials` that a CRL names, None when it names none of them.

    A million entries are looked through without an object for each. Raises ValueError on what is no CRL.
    """
    parsed = x509.load_der_x509_crl(encoded)
    found = next(filter(None, map(parsed.get_revoked_certificate_by_serial_number, serials)), None)
    if found is None:
        return None
    stated = [each.value.reason for each in found.extensions if isinstance(each.value, x509.CRLReason)]
    return Entry(found.serial_number, found.revocation_date_utc, stated[0].value if stated else "unspecified")
