"""What is read from a certificate agrees with the library, and no bytes make it fail without a reason."""

import base64
import hashlib
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
from tests.inventory.importing.foreign import ForeignAuthority, der, pem

OLD = ForeignAuthority()
WHOLE = der(OLD.signs("CN=PROPERTY,O=Old"))
_OIDS = [NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.LOCALITY_NAME, NameOID.SERIAL_NUMBER, NameOID.TITLE]
_ATTRIBUTE = st.builds(
    x509.NameAttribute, st.sampled_from(_OIDS), st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
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
        parsed = x509.load_der_x509_certificate(damaged)
        assert facts.serial == f"{parsed.serial_number:x}" and facts.sha256 == hashlib.sha256(damaged).digest()


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
