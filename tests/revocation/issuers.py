"""Issuers with keys of each kind an authority can have, made without a store."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from inventory.issuing.keys.software import generate
from inventory.models import Certificate
from inventory.x509.certificate import Contents, build
from inventory.x509.keys import KeyType

NOW = datetime(2027, 3, 1, 12, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)
KEY_TYPES = [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048, KeyType.ED25519]


class Issuer(NamedTuple):
    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes


def own_certificate(slug: str) -> Certificate:
    """Return the row of the certificate of a stored authority."""
    return Certificate.objects.select_related("authority").get(subject_authority__slug=slug)


@cache
def issuer(key_type: KeyType, name: str = "Meters Issuing CA") -> Issuer:
    key = generate(key_type)
    contents = Contents(
        serial=0x5A17,
        subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        public_key=key.public_key(),
        not_before=NOW - DAY,
        not_after=NOW + 3650 * DAY,
        pointers=None,
        is_authority=True,
    )
    return Issuer(build(contents, issuer=None, signing_key=key), key)


@cache
def delegated_signer(key_type: KeyType) -> Issuer:
    own, authority = generate(key_type), issuer(key_type)
    contents = Contents(
        serial=0x0C59,
        subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "OCSP signer")]),
        public_key=own.public_key(),
        not_before=NOW - DAY,
        not_after=NOW + 14 * DAY,
        pointers=None,
        extended_key_usages=[ExtendedKeyUsageOID.OCSP_SIGNING],
        ocsp_no_check=True,
    )
    return Issuer(build(contents, issuer=authority.certificate, signing_key=authority.key), own)
