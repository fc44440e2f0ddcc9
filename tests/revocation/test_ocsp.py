"""OCSP as bytes, held against cryptography's reader and builder, and pkilint."""

import contextlib
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from pkilint.bin import lint_ocsp_response

from inventory.models import RevocationReason
from inventory.x509 import der
from inventory.x509.keys import KeyType, signature_hash
from revocation import ocsp
from tests.revocation.issuers import DAY, KEY_TYPES, NOW, Issuer, delegated_signer, issuer

HASHES: list[hashes.HashAlgorithm] = [hashes.SHA1(), hashes.SHA256()]  # noqa: S303  (RFC 5019 2.1.1)
VECTORS = Path(cryptography_vectors.__file__).parent / "x509" / "ocsp"

serials = st.integers(1, 2**159 - 1)
moments = st.integers(-631_152_000, 5_680_281_599).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
nonces = st.none() | st.binary(min_size=1, max_size=128)
statuses = st.one_of(
    st.just(ocsp.Good()),
    st.just(ocsp.Unknown()),
    st.builds(ocsp.Revoked, moments, st.sampled_from([str(reason) for reason in RevocationReason])),
)


def request_der(
    serial: int = 7,
    *,
    algorithm: hashes.HashAlgorithm = HASHES[0],
    nonce: bytes | None = None,
    authority: Issuer | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> bytes:
    authority = authority or issuer(KeyType.EC_P256)
    name_hash, key_hash = issuer_hashes(authority.certificate, algorithm)
    builder = reference.OCSPRequestBuilder().add_certificate_by_hash(name_hash, key_hash, serial, algorithm)
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.build().public_bytes(Encoding.DER)


def issuer_hashes(certificate: x509.Certificate, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
    # cryptography computes them when it builds a request for a certificate: here the self-signed issuer's own.
    request = reference.OCSPRequestBuilder().add_certificate(certificate, certificate, algorithm).build()
    return request.issuer_name_hash, request.issuer_key_hash


def merged(*requests: bytes, nonce: bytes | None = None) -> bytes:
    """Return one request that asks for what each of `requests` asks for."""
    singles = b""
    for request in requests:
        contents = der.only_element(request, der.SEQUENCE).inside().take(der.SEQUENCE).inside()
        singles += contents.take(der.SEQUENCE).content
    extensions = b""
    if nonce is not None:
        value = der.element(der.OCTET_STRING, der.element(der.OCTET_STRING, nonce))
        extension = der.element(der.SEQUENCE, der.object_identifier("1.3.6.1.5.5.7.48.1.2"), value)
        extensions = der.element(der.explicit(2), der.element(der.SEQUENCE, extension))
    return der.element(der.SEQUENCE, der.element(der.SEQUENCE, der.element(der.SEQUENCE, singles), extensions))


def reference_status(
    status: ocsp.Status,
) -> tuple[reference.OCSPCertStatus, datetime | None, x509.ReasonFlags | None]:
    match status:
        case ocsp.Good():
            return reference.OCSPCertStatus.GOOD, None, None
        case ocsp.Unknown():
            return reference.OCSPCertStatus.UNKNOWN, None, None
        case ocsp.Revoked(at, reason):
            flag = None if reason == "unspecified" else x509.ReasonFlags(reason)
            return reference.OCSPCertStatus.REVOKED, at, flag


def before_the_signature(response: bytes) -> list[bytes]:
    """Return the parts of a response that do not depend on the signature's value or length."""
    outer = der.only_element(response, der.SEQUENCE).inside()
    status = outer.take(der.ENUMERATED).der
    body = outer.take(der.explicit(0)).inside().take(der.SEQUENCE).inside()
    kind = body.take(der.OBJECT_IDENTIFIER).der
    basic = body.take(der.OCTET_STRING).inside().take(der.SEQUENCE).inside()
    data, algorithm, _ = basic.take(der.SEQUENCE).der, basic.take(der.SEQUENCE).der, basic.take(der.BIT_STRING)
    return [status, kind, data, algorithm, basic.take(der.explicit(0)).der]


@settings(deadline=None)
@given(key_type=st.sampled_from(KEY_TYPES), serial=serials, algorithm=st.sampled_from(HASHES), nonce=nonces)
def test_a_request_is_read_as_cryptography_reads_it(key_type, serial, algorithm, nonce):
    authority = issuer(key_type)
    encoded = request_der(serial, algorithm=algorithm, nonce=nonce, authority=authority)

    request = ocsp.parse(encoded)

    theirs = reference.load_der_ocsp_request(encoded)
    (asked,) = request.certificate_ids
    assert asked.serial == theirs.serial_number == serial
    assert (asked.issuer_name_hash, asked.issuer_key_hash) == (theirs.issuer_name_hash, theirs.issuer_key_hash)
    assert asked.algorithm == theirs.hash_algorithm.name
    assert request.nonce == (None if nonce is None else der.element(der.OCTET_STRING, nonce))
    assert ocsp.IssuerIdentity(authority.certificate).issued(asked)
    assert not ocsp.IssuerIdentity(issuer(key_type, "Somebody Else").certificate).issued(asked)


@settings(deadline=None)
@given(
    key_type=st.sampled_from(KEY_TYPES),
    serial=serials,
    algorithm=st.sampled_from(HASHES),
    status=statuses,
    this_update=moments,
    nonce=nonces,
)
def test_each_byte_of_an_answer_but_the_signature_is_the_builders(
    key_type, serial, algorithm, status, this_update, nonce
):
    authority, signer = issuer(key_type), delegated_signer(key_type)
    next_update = this_update + DAY
    certificate_status, revoked_at, reason = reference_status(status)
    builder = (
        reference.OCSPResponseBuilder()
        .add_response_by_hash(
            *issuer_hashes(authority.certificate, algorithm),
            serial,
            algorithm,
            certificate_status,
            this_update,
            next_update,
            revoked_at,
            reason,
        )
        .responder_id(reference.OCSPResponderEncoding.HASH, signer.certificate)
        .certificates([signer.certificate])
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    theirs = builder.sign(signer.key, signature_hash(signer.key))
    request = ocsp.parse(request_der(serial, algorithm=algorithm, nonce=nonce, authority=authority))

    ours = ocsp.build(
        [(request.certificate_ids[0], status)],
        signer=ocsp.Signer(signer.certificate, signer.key),
        dates=ocsp.Dates(theirs.produced_at_utc, this_update, next_update),
        nonce=request.nonce,
    )

    assert before_the_signature(ours) == before_the_signature(theirs.public_bytes(Encoding.DER))
    response = reference.load_der_ocsp_response(ours)
    assert response.responder_key_hash == theirs.responder_key_hash


@pytest.mark.parametrize("key_type", KEY_TYPES)
@pytest.mark.parametrize(
    "statuses_",
    [
        [ocsp.Good()],
        [ocsp.Unknown()],
        [ocsp.Revoked(NOW - DAY, "keyCompromise")],
        [ocsp.Good(), ocsp.Revoked(NOW - DAY, "unspecified"), ocsp.Unknown()],
    ],
    ids=["good", "unknown", "revoked", "three"],
)
@pytest.mark.parametrize("nonce", [None, b"n" * 32], ids=["no nonce", "nonce"])
def test_openssl_verifies_and_pkilint_finds_nothing(tmp_path, capsys, key_type, statuses_, nonce):
    authority, signer = issuer(key_type), delegated_signer(key_type)
    asked = merged(*(request_der(serial, authority=authority) for serial in range(1, len(statuses_) + 1)), nonce=nonce)
    request = ocsp.parse(asked)
    made = ocsp.build(
        list(zip(request.certificate_ids, statuses_, strict=True)),
        signer=ocsp.Signer(signer.certificate, signer.key),
        dates=ocsp.Dates(NOW, NOW, NOW + DAY),
        nonce=request.nonce,
    )
    (tmp_path / "asked").write_bytes(asked)
    (tmp_path / "made.ocsp").write_bytes(made)
    (tmp_path / "issuer.pem").write_bytes(authority.certificate.public_bytes(Encoding.PEM))

    openssl = subprocess.run(
        f"openssl ocsp -respin made.ocsp -reqin asked -CAfile issuer.pem -attime {NOW.timestamp():.0f}".split(),
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert "Response verify OK" in openssl.stdout + openssl.stderr, openssl.stdout + openssl.stderr
    assert "Nonce Verify error" not in openssl.stdout + openssl.stderr
    # Not as a program: to import it costs a hundred times what it does.
    found = lint_ocsp_response.main(["lint", "-s", "WARNING", str(tmp_path / "made.ocsp")])
    assert (found, capsys.readouterr().out.strip()) == (0, "")


def test_one_request_may_ask_for_several_certificates():
    request = ocsp.parse(merged(request_der(1), request_der(2, algorithm=HASHES[1]), request_der(3), nonce=b"n"))

    assert [asked.serial for asked in request.certificate_ids] == [1, 2, 3]
    assert [asked.algorithm for asked in request.certificate_ids] == ["sha1", "sha256", "sha1"]
    assert request.nonce == b"\x04\x01n"


@pytest.mark.parametrize("length", [0, 129])
def test_a_nonce_of_forbidden_length_is_refused(length):
    # RFC 9654 2.1
    with pytest.raises(ocsp.MalformedRequest, match=f"nonce has {length} octets"):
        ocsp.parse(merged(request_der(), nonce=b"n" * length))


def test_a_nonce_that_is_not_wrapped_is_refused():
    value = der.element(der.OCTET_STRING, b"12345678")
    extension = der.element(der.SEQUENCE, der.object_identifier("1.3.6.1.5.5.7.48.1.2"), value)
    extensions = der.element(der.explicit(2), der.element(der.SEQUENCE, extension))
    single = der.only_element(request_der(), der.SEQUENCE).inside().take(der.SEQUENCE).content
    with pytest.raises(ocsp.MalformedRequest):
        ocsp.parse(der.element(der.SEQUENCE, der.element(der.SEQUENCE, single, extensions)))


def test_an_unknown_extension_is_ignored_unless_it_is_critical():
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
    assert ocsp.parse(request_der(extensions=[(unknown, False)])).nonce is None
    with pytest.raises(ocsp.MalformedRequest, match="critical"):
        ocsp.parse(request_der(extensions=[(unknown, True)]))


def test_the_same_extension_twice_is_refused():
    nonce = der.element(
        der.SEQUENCE,
        der.object_identifier("1.3.6.1.5.5.7.48.1.2"),
        der.element(der.OCTET_STRING, der.element(der.OCTET_STRING, b"n")),
    )
    extensions = der.element(der.explicit(2), der.element(der.SEQUENCE, nonce, nonce))
    single = der.only_element(request_der(), der.SEQUENCE).inside().take(der.SEQUENCE).content
    with pytest.raises(ocsp.MalformedRequest, match="twice"):
        ocsp.parse(der.element(der.SEQUENCE, der.element(der.SEQUENCE, single, extensions)))


def test_more_certificates_than_are_answered_at_once_are_refused():
    assert len(ocsp.parse(merged(*[request_der()] * ocsp.MAX_CERTIFICATES)).certificate_ids) == ocsp.MAX_CERTIFICATES
    with pytest.raises(ocsp.MalformedRequest, match="At most 100"):
        ocsp.parse(merged(*[request_der()] * (ocsp.MAX_CERTIFICATES + 1)))


def test_a_request_about_nothing_is_refused():
    with pytest.raises(ocsp.MalformedRequest, match="no certificate"):
        ocsp.parse(merged())


def test_a_request_above_the_size_limit_is_refused_unread():
    with pytest.raises(ocsp.MalformedRequest, match="at most 16384"):
        ocsp.parse(b"\x30" * (ocsp.MAX_REQUEST_BYTES + 1))


def test_deep_nesting_is_refused():
    with pytest.raises(ocsp.MalformedRequest):
        ocsp.parse(b"\x30\x80" * 5000)


def test_a_hash_that_is_not_known_names_no_issuer():
    encoded = request_der(algorithm=hashes.SHA512())
    asked = ocsp.parse(encoded).certificate_ids[0]
    assert asked.algorithm is None
    assert not ocsp.IssuerIdentity(issuer(KeyType.EC_P256).certificate).issued(asked)


@pytest.mark.parametrize("path", sorted(VECTORS.glob("req-*.der")), ids=lambda path: path.name)
def test_the_public_request_vectors_are_read_or_refused(path):
    encoded = path.read_bytes()
    try:
        ours = [asked.serial for asked in ocsp.parse(encoded).certificate_ids]
    except ocsp.MalformedRequest:
        ours = []
    try:
        theirs = reference.load_der_ocsp_request(encoded)
        assert theirs.extensions is not None
    except (ValueError, NotImplementedError, x509.DuplicateExtension):
        return  # it reads no request for several certificates
    assert ours == [theirs.serial_number]


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_junk_raises_only_the_typed_error(junk):
    with pytest.raises(ocsp.MalformedRequest):
        ocsp.parse(junk)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_mutant_is_read_or_raises_only_the_typed_error(data):
    mutant = bytearray(merged(request_der(1), request_der(2**158, algorithm=HASHES[1]), nonce=b"nonce"))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(mutant) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "length"])):
            case "flip":
                mutant[at] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del mutant[at : at + data.draw(st.integers(1, 20))]
            case "insert":
                mutant[at:at] = data.draw(st.binary(min_size=1, max_size=20))
            case "length":
                mutant[at : at + 1] = b"\x84\xff\xff\xff\xff"
        if not mutant:
            break
    with contextlib.suppress(ocsp.MalformedRequest):
        ocsp.parse(bytes(mutant))


@pytest.mark.parametrize("status", ocsp.ResponseStatus)
def test_a_refusal_is_an_unsigned_answer(status):
    made = ocsp.refusal(status)
    assert made == bytes([0x30, 3, 0x0A, 1, status])
    assert reference.load_der_ocsp_response(made).response_status.value == status
