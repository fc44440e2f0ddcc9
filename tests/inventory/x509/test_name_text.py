"""A name in a certificate equals what OpenSSL and the library write of it, in any spelling, and nothing else."""

import subprocess
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from inventory.x509.name_text import UnreadableName, from_der, from_text
from tests.factories import NOW

KEY = ec.generate_private_key(ec.SECP256R1())
UNKNOWN = ObjectIdentifier("1.3.6.1.4.1.99999.1")
OF_LIBRARY = [oid for oid in vars(NameOID).values() if isinstance(oid, ObjectIdentifier)]
STRINGS = (_ASN1Type.UTF8String, _ASN1Type.BMPString, _ASN1Type.UniversalString)


def issuer_by_openssl(name: x509.Name) -> str:
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string("CN=MTR-1"))
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(KEY, hashes.SHA256())
    )
    found = subprocess.run(
        ["openssl", "x509", "-noout", "-issuer", "-nameopt", "RFC2253"],
        input=certificate.public_bytes(Encoding.PEM), capture_output=True, check=True,
    )  # fmt: skip
    return found.stdout.decode().rstrip("\n").removeprefix("issuer=")


def attribute(oid: ObjectIdentifier, value: str = "DE") -> x509.NameAttribute:
    if oid == NameOID.X500_UNIQUE_IDENTIFIER:
        return x509.NameAttribute(oid, b"\0\x01", _ASN1Type.BitString)
    return x509.NameAttribute(oid, value)


def test_attributes_of_every_kind_read_as_openssl_writes_them():
    name = x509.Name([attribute(oid) for oid in [*OF_LIBRARY, UNKNOWN]])
    assert from_text(issuer_by_openssl(name)) == from_der(name.public_bytes())


@pytest.mark.parametrize("string_type", STRINGS)
def test_what_openssl_escapes_is_read_as_it_was(string_type):
    values = [' #a,b+c"d\\e<f>g;h=\n\0é€ ', "#x", "  ", "a  b", "x=y", "\\", "C\\C3", "CN=a,O=b"]
    if string_type is not _ASN1Type.BMPString:  # which has 16 bits a character
        values.append("Zähler 🔌")
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, value, string_type) for value in values])
    assert from_text(issuer_by_openssl(name)) == from_der(name.public_bytes())


def test_the_attributes_of_one_relative_name_are_equal_in_any_order():
    pair = [attribute(NameOID.COMMON_NAME, "a+b"), attribute(NameOID.SERIAL_NUMBER, "7")]
    name = x509.Name([x509.RelativeDistinguishedName(pair)])
    assert from_text(issuer_by_openssl(name)) == from_der(name.public_bytes()) == from_text("CN=a\\+b+serialNumber=7")


@pytest.mark.parametrize(
    "spelling",
    [
        "emailAddress=ca@example.com,CN=Old CA,DC=example",
        "EMAILADDRESS=ca@example.com,cn=Old CA,dc=example",
        "1.2.840.113549.1.9.1=ca@example.com,CN=Old CA,DC=example",
        "OID.1.2.840.113549.1.9.1=ca@example.com, CN=Old CA , DC = example",
        "1.2.840.113549.1.9.1=#160E6361406578616d706c652e636f6d,CN=Old CA,DC=example",
        "emailAddress=ca@example.com;CN=\\4fld\\20CA,DC=example",
        "emailAddress=ca\\@example.com,2.5.4.3=#13064f6c64204341,DC=example",
    ],
)
def test_every_spelling_of_a_name_is_the_same_name(spelling):
    name = x509.Name(
        [
            attribute(NameOID.DOMAIN_COMPONENT, "example"),
            attribute(NameOID.COMMON_NAME, "Old CA"),
            attribute(NameOID.EMAIL_ADDRESS, "ca@example.com"),
        ]
    )
    assert from_text(spelling) == from_der(name.public_bytes())


@pytest.mark.parametrize(
    "other",
    ["DC=example,CN=Old CA", "CN=Old CA", "CN=Old  CA,DC=example", "CN=old CA,DC=example", "CN=Old CA+DC=example"],
)
def test_another_name_is_another_name(other):
    assert from_text(other) != from_text("CN=Old CA,DC=example")


@pytest.mark.parametrize(
    "text", ["", "mfg-1", "CN", "=x", "CN=a,", "CN=a\\", "nick=x", "CN=#zz", "CN=#0c05", "CN=#0c01410c0142", "/CN=a"]
)
def test_what_is_no_name_is_refused(text):
    with pytest.raises(UnreadableName):
        from_text(text)


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=3, unique=True)))
def test_what_the_library_writes_is_read_as_it_was(values):
    name = x509.Name(
        x509.RelativeDistinguishedName([attribute(NameOID.ORGANIZATION_NAME, each) for each in relative])
        for relative in values
    )
    if values:
        assert from_text(name.rfc4514_string()) == from_der(name.public_bytes())
