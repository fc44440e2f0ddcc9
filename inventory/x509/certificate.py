"""Building certificates (RFC 5280): contents in, signed certificate out. Pure: no clock, no store."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificateIssuerPublicKeyTypes,
)
from cryptography.x509.oid import AuthorityInformationAccessOID

from inventory.x509.keys import signature_hash


@dataclass(frozen=True)
class Pointers:
    """Addresses of the issuer's services: the CRL shard of this certificate, OCSP and the issuer's certificate."""

    crl: str
    ocsp: str
    issuer: str


@dataclass(frozen=True)
class Contents:
    """Everything that a certificate says. `alternative_names` empty: no such extension."""

    serial: int
    subject: x509.Name
    public_key: CertificateIssuerPublicKeyTypes
    not_before: datetime
    not_after: datetime
    pointers: Pointers | None
    alternative_names: Sequence[x509.GeneralName] = ()
    extended_key_usages: Sequence[x509.ObjectIdentifier] = ()
    is_authority: bool = False
    path_length: int | None = None
    ocsp_no_check: bool = field(default=False)


def build(
    contents: Contents, *, issuer: x509.Certificate | None, signing_key: CertificateIssuerPrivateKeyTypes
) -> x509.Certificate:
    """Return the certificate that `issuer` signs for `contents`; with `issuer` None it is self-signed."""
    builder = (
        x509.CertificateBuilder()
        .serial_number(contents.serial)
        .issuer_name(issuer.subject if issuer else contents.subject)
        .subject_name(contents.subject)
        .public_key(contents.public_key)
        .not_valid_before(contents.not_before)
        .not_valid_after(contents.not_after)
        .add_extension(
            basic_constraints(is_authority=contents.is_authority, path_length=contents.path_length), critical=True
        )
        .add_extension(
            key_usage(
                is_authority=contents.is_authority, enciphers_keys=isinstance(contents.public_key, rsa.RSAPublicKey)
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(contents.public_key), critical=False)
        .add_extension(
            authority_key_identifier(issuer)
            if issuer
            else x509.AuthorityKeyIdentifier.from_issuer_public_key(contents.public_key),
            critical=False,
        )
    )
    if contents.extended_key_usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(contents.extended_key_usages), critical=False)
    if contents.alternative_names:
        # RFC 5280 4.2.1.6: critical exactly when the subject is empty.
        builder = builder.add_extension(
            x509.SubjectAlternativeName(contents.alternative_names), critical=not contents.subject.rdns
        )
    if contents.ocsp_no_check:
        # RFC 6960 4.2.2.2.1: its short life replaces the question whether it is revoked.
        builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
    if contents.pointers:
        builder = builder.add_extension(crl_distribution_points(contents.pointers), critical=False)
        builder = builder.add_extension(authority_information_access(contents.pointers), critical=False)
    return builder.sign(signing_key, signature_hash(signing_key))


def basic_constraints(*, is_authority: bool, path_length: int | None = None) -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=is_authority, path_length=path_length)


def key_usage(*, is_authority: bool, enciphers_keys: bool) -> x509.KeyUsage:
    """Return the usage of a key: authorities sign certificates and CRLs, all others sign.

    `enciphers_keys`: it is an RSA key. On an EC key the bit is an error (RFC 5480 3).
    """
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=not is_authority and enciphers_keys,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def crl_distribution_points(pointers: Pointers) -> x509.CRLDistributionPoints:
    name = [x509.UniformResourceIdentifier(pointers.crl)]
    return x509.CRLDistributionPoints([x509.DistributionPoint(name, None, None, None)])


def authority_information_access(pointers: Pointers) -> x509.AuthorityInformationAccess:
    return x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(pointers.ocsp)),
            x509.AccessDescription(
                AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(pointers.issuer)
            ),
        ]
    )
