"""Reading certification requests: whatever the bytes are, the answer is a request or MalformedRequest."""

import base64
import contextlib
import re
import time
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID
from hypothesis import given
from hypothesis import strategies as st

from inventory.x509 import der as x690
from inventory.x509.csr import MAX_BYTES, MalformedRequest, parse
from inventory.x509.keys import KeyType, spki
from inventory.x509.signing import signed
from tests.factories import csr_der, key

CORPUS = Path(cryptography_vectors.__file__).parent / "x509" / "requests"
ANY_EXTENSION = [
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
]


# By OpenSSL 3.0: genpkey -algorithm RSA-PSS, 2048 bits. The library writes such a key as rsaEncryption only.
RSA_PSS = (
    "MIICgzCCATcCAQAwDDEKMAgGA1UEAwwBYTCCASAwCwYJKoZIhvcNAQEKA4IBDwAwggEKAoIBAQDNu24aLMWJgqjC2ODfoFyB9Hb9"
    "EkprrAS0tMDcyHiDlY+sij5NYgfrDvBPIygiA0mOfy7WYPL8amt/EDYs7w6C6PMMAo7YPWqU5ymxOhdCnN+S+bo+t+VIOz2yNXFw"
    "7RUZhhBiXzA4szoK3JD4fPy04M39jCvYrEMxM1V1KL5lTsbJCFPhPULovbaGdxuD7w/C+i6WojcLiO4yZqENdKONXSBk11qijqg5"
    "NVv4M/FwMEM6hJxx+XjcxV7hCTsctOqvOOIETmfUNcGKIcA4o9W4je907a9+9UTUpP8oMBxRX7k7JOStWU/O+YZ7y0hQG5vrvic/"
    "nJGH+54VzexhOzGfAgMBAAGgADBBBgkqhkiG9w0BAQowNKAPMA0GCWCGSAFlAwQCAQUAoRwwGgYJKoZIhvcNAQEIMA0GCWCGSAFl"
    "AwQCAQUAogMCASADggEBACrvSSDp0sf0sBD/PoTpoYgCtWm3I8x0SYK409zGFesjooLgytkIlCFVZRYRueMW5YN8AfNszh1mze01"
    "VN6K9v2MfzxYtTLDkBiV9NBWBidp24JAoITnSv0BGZKb1CJ2DPHozHKSaBekRgd1VbAqHawGFXcgC0QGjJsTCnwyGcMKYYuBZh1e"
    "pZRhZRhuScz/nQrtV8KHqydoOJ14+hySPy+uNr5DRtVyuCC9TF+Ip1gKkowxbsTNo6Pt6d4OOSyxDr3GjSTi3Tizz6KrGKjTzKj0"
    "KAbAgWIUvegux07JVau2OcaOdqQJnKS0fyXT9B92SygvoGC+7y5XVx5x7e/AQGQ="
)


def malformed(der: bytes) -> str:
    with pytest.raises(MalformedRequest) as refusal:
        parse(der)
    return str(refusal.value)


def request_with(oid: x509.ObjectIdentifier, value: bytes, *, critical: bool = False) -> bytes:
    extension = x509.UnrecognizedExtension(oid, value)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.add_extension(extension, critical=critical).sign(key(), hashes.SHA256()).public_bytes(Encoding.DER)


def corpus() -> list[tuple[str, bytes]]:
    found = []
    for path in sorted(CORPUS.iterdir()):
        content = path.read_bytes()
        armoured = re.search(rb"-----BEGIN[^\n]*-----(.*?)-----END", content, re.DOTALL)
        with contextlib.suppress(ValueError):
            found.append((path.name, base64.b64decode(armoured.group(1)) if armoured else content))
    return found


@lru_cache(maxsize=1)
def samples() -> list[bytes]:
    names = [x509.DNSName("sm1.example"), x509.UniformResourceIdentifier("urn:dev:sm1")]
    return [csr_der(key(), "SM1", names), *(der for _name, der in corpus())]


@st.composite
def mutants(draw) -> bytes:
    der = bytearray(draw(st.sampled_from(samples())))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(der)))
        cut = draw(st.integers(0, 6))
        der[at : at + cut] = draw(st.binary(max_size=6))
    return bytes(der)


@given(mutants() | st.binary(max_size=200))
def test_no_bytes_raise_anything_but_malformed_request(der):
    with contextlib.suppress(MalformedRequest), warnings.catch_warnings(action="ignore"):
        parse(der)


@pytest.mark.parametrize(("name", "der"), corpus(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_corpus_of_cryptography_is_read_or_refused(name, der):
    with warnings.catch_warnings(action="ignore"):
        if re.search("bad|invalid|sha1|md4|two_|zero|long|multi|unsupported|basic_constraints", name):
            assert len(malformed(der)) > 30
        else:
            assert parse(der).key_type in (KeyType.RSA_2048, KeyType.EC_P384)


@pytest.mark.parametrize("size", [0, 1, 100])
def test_every_beginning_of_a_request_is_malformed(size):
    der = csr_der(key(), "SM1")
    assert malformed(der[:size]) == "The body is not a DER certification request (PKCS #10)."
    assert malformed(der + b"\0")


def test_a_request_larger_than_the_limit_is_refused_unread():
    assert malformed(bytes(MAX_BYTES + 1)) == f"The request has {MAX_BYTES + 1} bytes; at most {MAX_BYTES} are read."


def test_a_request_signed_by_another_key_proves_nothing():
    der = bytearray(csr_der(key(), "SM1"))
    der[-1] ^= 1
    assert "does not verify" in malformed(bytes(der))


@pytest.mark.parametrize("content", ["3004a3020500", "3004a5020500"], ids=["x400Address", "ediPartyName"])
def test_an_alternative_name_that_the_library_cannot_read_is_malformed(content):
    assert "not supported" in malformed(request_with(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex(content)))


@pytest.mark.parametrize("oid", ANY_EXTENSION[:4], ids=lambda oid: oid._name)
def test_an_empty_sequence_in_an_extension_is_malformed_or_ignored(oid):
    der = request_with(oid, bytes.fromhex("3000"))
    if oid == ExtensionOID.CERTIFICATE_POLICIES:
        assert parse(der).alternative_names == ()
    else:
        assert len(malformed(der)) > 30


@given(st.sampled_from(ANY_EXTENSION), st.binary(max_size=24))
def test_no_content_of_an_extension_raises_anything_but_malformed_request(oid, value):
    with contextlib.suppress(MalformedRequest):
        parse(request_with(oid, value))


def test_an_unknown_extension_is_no_reason_to_refuse_even_a_critical_one():
    # RFC 2986 4.1: an issuer takes from a request what it likes; ours takes the key.
    unknown = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
    assert parse(request_with(unknown, b"\x05\x00", critical=True)).key_type == KeyType.EC_P256


@pytest.mark.parametrize("algorithm", [hashes.SHA224(), hashes.SHA3_256()], ids=lambda hash_: hash_.name)
def test_a_hash_that_is_not_sha_2_of_256_bits_or_more_is_refused(algorithm):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    assert "is needed" in malformed(builder.sign(key(), algorithm).public_bytes(Encoding.DER))


KEYS: dict[str, Callable[[], Any]] = {
    KeyType.EC_P256: lambda: ec.generate_private_key(ec.SECP256R1()),
    KeyType.EC_P384: lambda: ec.generate_private_key(ec.SECP384R1()),
    KeyType.ED25519: ed25519.Ed25519PrivateKey.generate,
    KeyType.RSA_2048: lambda: rsa.generate_private_key(65537, 2048),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "RSA 1024": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 - must be refused
    "RSA 2047": lambda: rsa.generate_private_key(65537, 2047),  # noqa: S505 - must be refused
    "RSA with exponent 3": lambda: rsa.generate_private_key(3, 2048),
    "DSA": lambda: dsa.generate_private_key(2048),
    "Ed448": ed448.Ed448PrivateKey.generate,
}


@pytest.mark.parametrize("kind", KEYS)
def test_the_kind_of_a_key_is_told_and_is_none_for_those_no_profile_can_allow(kind):
    private_key = KEYS[kind]()
    algorithm = None if isinstance(private_key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)) else hashes.SHA256()
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    parsed = parse(builder.sign(private_key, algorithm).public_bytes(Encoding.DER))
    assert parsed.key_type == (kind if kind in list(KeyType) else None)
    assert parsed.public_key == private_key.public_key()


@pytest.mark.parametrize(("bits", "exponent"), [(30_000, 65537), (16_384, 2**64 - 59), (3072, 2**3071 + 1)])
def test_an_enormous_key_is_refused_for_less_than_a_tenth_of_a_second_of_work(bits, exponent):
    modulus = (1 << (bits - 1)) | 0x9E3779B97F4A7C15
    der = _rsa_request(modulus, exponent)
    assert len(der) <= MAX_BYTES
    started = time.thread_time()
    malformed(der)
    assert time.thread_time() - started < 0.1


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8 or 1)
    return bytes([tag]) + (octets if size < 128 else bytes([0x80 | len(octets)]) + octets) + content


def _rsa_request(modulus: int, exponent: int) -> bytes:
    """Return a request whose signature is a number as large as the key allows, so that it costs the most to check."""
    public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    information = _tlv(0x30, b"\x02\x01\x00" + _tlv(0x30, b"") + spki + b"\xa0\x00")
    sha256_with_rsa = _tlv(0x30, bytes.fromhex("06092a864886f70d01010b0500"))
    signature = (modulus - 12345).to_bytes((modulus.bit_length() + 7) // 8)
    return _tlv(0x30, information + sha256_with_rsa + _tlv(0x03, b"\0" + signature))


def test_a_text_of_another_type_in_the_subject_is_refused_by_the_name_of_the_field():
    der = csr_der(key(), "abcdef").replace(b"\x0c\x06abcdef", b"\x14\x06abc\xe9ef")  # T61String
    assert malformed(der).startswith("The request's subject cannot be read")


def test_two_extensions_of_one_kind_are_refused_by_their_name():
    own = key()
    names = x509.SubjectAlternativeName([x509.DNSName("a.example")])
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.18"), names.public_bytes())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    der = builder.add_extension(extension, critical=False).sign(own, hashes.SHA256()).public_bytes(Encoding.DER)
    twice = der.replace(bytes.fromhex("0603551d12"), bytes.fromhex("0603551d11"))
    assert twice != der
    assert malformed(twice) == "The request has the extension 2.5.29.17 twice (RFC 5280 4.2)."


def test_a_key_for_rsa_pss_alone_is_of_no_kind_that_a_profile_allows():
    assert parse(base64.b64decode(RSA_PSS)).key_type is None


def test_a_challenge_password_is_read():
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    linked = builder.add_attribute(x509.oid.AttributeOID.CHALLENGE_PASSWORD, b"bGluaw==").sign(key(), hashes.SHA256())
    assert parse(linked.public_bytes(Encoding.DER)).challenge_password == b"bGluaw=="
    assert parse(csr_der(key())).challenge_password is None


@pytest.mark.parametrize("attribute", ["1.2.840.113549.1.9.14", "1.3.6.1.4.1.311.2.1.14"])
def test_alternative_names_are_read_from_the_attribute_of_rfc_2985_and_from_that_of_microsoft(attribute):
    own, names = key(), x509.SubjectAlternativeName([x509.DNSName("a.example")])
    value = x690.element(x690.OCTET_STRING, names.public_bytes())
    extension = x690.element(
        x690.SEQUENCE, x690.object_identifier(ExtensionOID.SUBJECT_ALTERNATIVE_NAME.dotted_string), value
    )
    listed = x690.element(x690.SET, x690.element(x690.SEQUENCE, extension))
    attributes = x690.element(x690.explicit(0), x690.element(x690.SEQUENCE, x690.object_identifier(attribute), listed))
    version, subject = x690.element(x690.INTEGER, b"\0"), x690.element(x690.SEQUENCE)
    signed_part = x690.element(x690.SEQUENCE, version, subject, spki(own.public_key()), attributes)
    assert parse(signed(own, [signed_part])).alternative_names == (x509.DNSName("a.example"),)
