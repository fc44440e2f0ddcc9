"""Certificates from templates: byte for byte those of the builder, for every key, name, date and length."""

from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inventory.issuing.keys.software import generate
from inventory.x509.certificate import Contents, Pointers, build
from inventory.x509.keys import KeyType
from inventory.x509.template import Blanks, compile_template, key_identifier

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
KINDS = list(KeyType)


@cache
def key(kind, use):
    return generate(kind)


@cache
def issuer(kind, subject="CN=Issuer,O=Größe,C=MY"):
    signing_key = key(kind, "issuer")
    name = x509.Name.from_rfc4514_string(subject)
    contents = Contents(
        serial=1,
        subject=name,
        public_key=signing_key.public_key(),
        not_before=NOW,
        not_after=NOW + timedelta(days=9000),
        pointers=None,
        is_authority=True,
    )
    return build(contents, issuer=None, signing_key=signing_key)


def pair(issuer_kind, kind, contents, subject="CN=Issuer,O=Größe,C=MY"):
    """Return template and blanks for `contents`."""
    template = compile_template(
        issuer=issuer(issuer_kind, subject),
        signing_key=key(issuer_kind, "issuer"),
        extended_key_usages=contents.extended_key_usages,
        enciphers_keys=kind.startswith("rsa"),
        pointers=contents.pointers,
    )
    names = contents.alternative_names
    return template, Blanks(
        serial=contents.serial.to_bytes(20),
        not_before=contents.not_before,
        not_after=contents.not_after,
        subject=contents.subject.public_bytes(),
        public_key=spki(contents.public_key),
        alternative_names=x509.SubjectAlternativeName(names).public_bytes() if names else b"",
    )


def spki(public_key):
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=64)
ATTRIBUTE = st.tuples(
    st.sampled_from([NameOID.ORGANIZATION_NAME, NameOID.LOCALITY_NAME, NameOID.STREET_ADDRESS]), TEXT
).map(lambda made: x509.NameAttribute(*made))
SUBJECT = st.lists(st.lists(ATTRIBUTE, min_size=1, max_size=2, unique_by=lambda each: each.oid), max_size=5).map(
    lambda names: x509.Name([x509.RelativeDistinguishedName(each) for each in names])
)
LABEL = st.from_regex(r"\A[a-z0-9]{1,60}\Z")
GENERAL_NAME = (
    st.lists(LABEL, min_size=1, max_size=4).map(lambda labels: x509.DNSName(".".join(labels)))
    | LABEL.map(lambda label: x509.UniformResourceIdentifier(f"urn:dev:{label}"))
    | LABEL.map(lambda label: x509.RFC822Name(f"{label}@example.org"))
    | st.ip_addresses().map(x509.IPAddress)
)
# From 1950 to 9999, in both forms of RFC 5280 4.1.2.5: two digits of the year to 2049, four from 2050.
MOMENT = st.integers(-631_152_000, 253_402_300_799).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
USAGE = st.sampled_from([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]) | st.lists(
    st.integers(0, 2**40), max_size=6
).map(lambda arcs: x509.ObjectIdentifier(".".join(["1.3", *map(str, arcs)])))
URL = st.integers(0, 300).map(lambda length: "http://status.example/" + "x" * length)


@st.composite
def any_contents(draw, kind):
    begins, ends = sorted([draw(MOMENT), draw(MOMENT)])
    return Contents(
        serial=draw(st.integers(1 << 152, (1 << 159) - 1)),
        subject=draw(SUBJECT),
        public_key=key(kind, "device").public_key(),
        not_before=begins,
        not_after=ends,
        pointers=Pointers(draw(URL), draw(URL), draw(URL)),
        alternative_names=draw(st.lists(GENERAL_NAME, max_size=6)),
        extended_key_usages=draw(st.lists(USAGE, max_size=3, unique_by=lambda oid: oid.dotted_string)),
    )


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(deadline=None)
def test_what_is_signed_is_what_the_builder_signs(kind, data):
    contents = data.draw(any_contents(kind))
    issuer_kind = data.draw(st.sampled_from([KeyType.EC_P256, KeyType.EC_P384, KeyType.ED25519, KeyType.RSA_2048]))
    template, blanks = pair(issuer_kind, kind, contents)
    built = build(contents, issuer=issuer(issuer_kind), signing_key=key(issuer_kind, "issuer"))
    assert template.to_be_signed(blanks) == built.tbs_certificate_bytes


@pytest.mark.parametrize("kind", [KeyType.EC_P256, KeyType.EC_P384, KeyType.ED25519, KeyType.RSA_2048])
def test_the_signature_is_of_the_issuer_and_where_it_is_not_random_the_builders(kind):
    contents = plain()
    template, blanks = pair(kind, KeyType.EC_P256, contents)
    certificate = x509.load_der_x509_certificate(template.fill(blanks))
    certificate.verify_directly_issued_by(issuer(kind))
    built = build(contents, issuer=issuer(kind), signing_key=key(kind, "issuer"))
    assert certificate.signature_algorithm_oid == built.signature_algorithm_oid
    assert certificate.signature_algorithm_parameters.__class__ is built.signature_algorithm_parameters.__class__
    if not kind.startswith("ec"):
        assert certificate.public_bytes(Encoding.DER) == built.public_bytes(Encoding.DER)


def plain(**changes):
    return Contents(
        **{
            "serial": 1 << 158,
            "subject": x509.Name.from_rfc4514_string("CN=SM1"),
            "public_key": key(KeyType.EC_P256, "device").public_key(),
            "not_before": NOW,
            "not_after": NOW + timedelta(days=365),
            "pointers": Pointers("http://s.example/0.crl", "http://s.example/o", "http://s.example/i"),
            **changes,
        }
    )


@pytest.mark.parametrize("length", [*range(1, 300, 7), 126, 127, 128, 129, 254, 255, 256, 257, 65_400, 65_700])
def test_every_length_around_the_alternative_names_is_in_its_shortest_form(length):
    contents = plain(alternative_names=[x509.UniformResourceIdentifier("u" * length)])
    template, blanks = pair(KeyType.ED25519, KeyType.EC_P256, contents)
    built = build(contents, issuer=issuer(KeyType.ED25519), signing_key=key(KeyType.ED25519, "issuer"))
    assert template.fill(blanks) == built.public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    "moment", [datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)], ids=["2049", "2050"]
)
def test_the_year_2050_begins_with_four_digits(moment):
    contents = plain(not_before=moment, not_after=moment)
    template, blanks = pair(KeyType.EC_P256, KeyType.EC_P256, contents)
    built = build(contents, issuer=issuer(KeyType.EC_P256), signing_key=key(KeyType.EC_P256, "issuer"))
    assert template.to_be_signed(blanks) == built.tbs_certificate_bytes


def test_names_are_critical_exactly_when_there_is_no_subject():
    # RFC 5280 4.2.1.6
    for subject, critical in (("CN=SM1", False), ("", True)):
        contents = plain(
            subject=x509.Name.from_rfc4514_string(subject), alternative_names=[x509.DNSName("sm1.example")]
        )
        template, blanks = pair(KeyType.EC_P256, KeyType.EC_P256, contents)
        certificate = x509.load_der_x509_certificate(template.fill(blanks))
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert found.critical is critical


@pytest.mark.parametrize("kind", KINDS)
@example(exponent=65537)
@given(exponent=st.sampled_from([3, 65537, (1 << 31) - 1, (1 << 32) + 15]))
@settings(deadline=None)
def test_a_key_identifier_is_the_librarys(kind, exponent):
    public_key = key(kind, "device").public_key()
    if isinstance(public_key, rsa.RSAPublicKey):
        public_key = rsa.RSAPublicNumbers(exponent, public_key.public_numbers().n).public_key()
    expected = x509.SubjectKeyIdentifier.from_public_key(public_key).digest
    assert key_identifier(spki(public_key)) == expected
