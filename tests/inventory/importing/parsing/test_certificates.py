"""What is read from a certificate agrees with the library, and no bytes make it fail without a reason."""

import base64
import hashlib
import re
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.importing.parsing import certificates, distinguished_names
from inventory.importing.parsing.certificates import Unreadable, decode, read
from inventory.x509 import lenient
from tests.inventory.importing import odd
from tests.inventory.importing.foreign import ForeignAuthority, der, pem

OLD = ForeignAuthority()
WHOLE = der(OLD.signs("CN=PROPERTY,O=Old"))
_OIDS = [NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.LOCALITY_NAME, NameOID.SERIAL_NUMBER, NameOID.TITLE]
# A common name has at most 64 octets: sixteen characters, whatever they are.
_ATTRIBUTE = st.builds(
    x509.NameAttribute, st.sampled_from(_OIDS), st.text(st.characters(codec="utf-8"), min_size=1, max_size=16)
)


@given(st.lists(st.lists(_ATTRIBUTE, min_size=1, max_size=2), max_size=4))
@settings(deadline=None)
def test_a_plain_name_is_spelled_as_the_library_spells_it(attributes):
    try:
        name = x509.Name([x509.RelativeDistinguishedName(each) for each in attributes])
        encoded = name.public_bytes()
    except ValueError:  # twice the same attribute, or a character that its type has not
        return
    assert distinguished_names.text(encoded) in ("", name.rfc4514_string())


def test_the_usual_names_are_plain():
    name = x509.Name.from_rfc4514_string("CN=MTR-0001,OU=Meters,O=Acme Inc.,L=Penang,C=MY")
    assert distinguished_names.text(name.public_bytes()) == name.rfc4514_string()


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
@settings(deadline=None, max_examples=300)
def test_any_damaged_octet_gives_facts_or_a_reason(at, value):
    damaged = WHOLE[:at] + bytes([value]) + WHOLE[at + 1 :]
    try:
        facts = read(damaged)
    except Unreadable as reason:
        assert str(reason).endswith(".") and "\n" not in str(reason)
    else:
        serial = facts.parsed.serial_number if facts.parsed else lenient.read(damaged).serial
        assert facts.serial == f"{serial:x}" and facts.sha256 == hashlib.sha256(damaged).digest()


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_in_a_cell_give_certificates_or_a_reason(data):
    for value in (data, data.decode("latin-1")):
        try:
            for each in decode(value):
                read(each)
        except Unreadable:
            pass


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
        dsa.generate_private_key(2048),
    ],
    ids=["p256", "p384", "p521", "ed25519", "rsa", "dsa"],
)
def test_the_key_is_named_and_hashed_as_everywhere(key):
    facts = read(der(OLD.signs("CN=K", key=key)))
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert facts.spki_sha256 == hashlib.sha256(spki).digest()
    expected = {"secp256r1": "ec-p256", "secp384r1": "ec-p384"}.get(getattr(getattr(key, "curve", None), "name", ""))
    if isinstance(key, ed25519.Ed25519PrivateKey):
        expected = "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        expected = "rsa-2048"
    assert facts.key_type == (expected or "other")


def test_a_certificate_is_read_from_every_notation():
    text = base64.b64encode(WHOLE).decode()
    notations = [WHOLE, WHOLE.hex(), WHOLE.hex(":"), "\\x" + WHOLE.hex(), text, text + "\n", pem_of(WHOLE)]
    notations += [pem_of(WHOLE).replace("\n", "\\n"), pem_of(WHOLE).replace("\n", "\r\n")]
    for notation in notations:
        assert decode(notation) == [WHOLE], notation


def pem_of(content: bytes) -> str:
    return pem(x509.load_der_x509_certificate(content))


def test_a_self_signed_authority_is_its_own_issuer():
    facts = read(der(OLD.certificate))
    assert facts.authority and facts.authority.identity == facts.issuer.identity
    assert read(WHOLE).issuer.identity == facts.authority.identity
    assert certificates.own_identity(OLD.certificate) == facts.authority.identity


def test_authorities_of_one_name_with_other_keys_are_others():
    twin = ForeignAuthority()
    assert read(der(twin.signs("CN=T"))).issuer.identity != read(WHOLE).issuer.identity


def test_a_certificate_without_end_is_kept():
    forever = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert read(der(OLD.signs("CN=DAC", not_after=forever))).not_after == forever


def test_a_long_subject_is_cut_for_the_list_only():
    name = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"{number:02}" + "x" * 60) for number in range(20)]
    )
    assert len(read(der(OLD.signs(name))).subject) == 512


def test_what_is_long_is_read_each_time_and_kept_by_nobody(monkeypatch):
    usual = read(WHOLE)
    monkeypatch.setattr(certificates, "_extensions", {})
    monkeypatch.setattr(certificates, "_LONGEST_EXTENSIONS_KEPT", 10)
    again = read(WHOLE)
    assert (again.issuer, again.authority) == (usual.issuer, usual.authority)
    assert certificates._extensions == {}


@pytest.mark.parametrize(
    "whole",
    [
        odd.with_empty_relative_name(),
        odd.with_subject(odd.common_name("ODD-1"), odd.EMPTY_RELATIVE_NAME),
        odd.with_half_an_authority_key_identifier(),
        odd.with_extension("2.5.29.35", odd.tlv(0x30)),  # the same extension twice
        odd.with_extension("2.5.29.17", odd.tlv(0x30, odd.tlv(0x82, b"\xff"))),  # a DNS name of no ASCII
        odd.with_extension("2.5.29.15", odd.tlv(0x04, b"")),  # a key usage that is none
        odd.with_extension("2.5.29.31", b"\xff"),
        odd.rebuilt(der(OLD.signs("CN=ODD-1")), version=odd.tlv(0xA0, odd.tlv(0x02, b"\x05"))),
        odd.rebuilt(der(OLD.signs("CN=ODD-1")), public_key=odd.tlv(0x30, odd.tlv(0x30, odd.oid("1.2.3")))),
    ],
)
def test_what_rfc_5280_forbids_is_read_and_marked(whole):
    facts = read(whole)
    assert facts.subject == "CN=ODD-1" and facts.der == whole
    assert certificates.common_name(facts) == "ODD-1" and certificates.subject_serial(facts) == ""
    assert facts.issuer.name.startswith("CN=O") and facts.key_type in {"ec-p256", "other"}


def test_an_odd_certificate_has_the_issuer_that_its_sound_siblings_have():
    sound, strange = read(der(odd.OLD.signs("CN=SOUND"))), read(odd.with_empty_relative_name())
    assert strange.parsed is None and strange.issuer == sound.issuer
    assert read(der(odd.OLD.certificate)).authority == strange.issuer


@pytest.mark.parametrize("serial", [b"\x00", b"\x80", b"\x01" + bytes(20)])
def test_a_serial_number_that_is_none_is_refused_by_the_name_of_its_certificate(serial):
    with pytest.raises(Unreadable, match=r"'CN=ODD-1' has no positive serial number of at most 20 octets"):
        read(odd.with_serial(serial))


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (("pkcs12", "cert-key-aes256cbc.p12"), "PKCS #12; write its certificates out with openssl pkcs12"),
        (("x509", "requests", "rsa_sha256.der"), "a certification request"),
        (("asymmetric", "PKCS8", "unenc-rsa-pkcs8.pem"), "is no certificate"),
    ],
)
def test_what_is_no_certificate_is_called_by_its_name(path, what):
    with pytest.raises(Unreadable, match=re.escape(what)) as refused:
        [read(each) for each in decode(odd.vector(*path))]
    assert "ParseError" not in str(refused.value) and str(refused.value).isprintable()


def test_a_key_store_and_a_zip_are_called_by_their_names():
    for content, what in ((bytes.fromhex("feedfeed00000002"), "a Java key store"), (b"PK\x03\x04", "a ZIP")):
        with pytest.raises(Unreadable, match=what):
            decode(content)
