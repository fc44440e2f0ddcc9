"""CRLs as bytes, held against cryptography's builder, OpenSSL and pkilint."""

import contextlib
import subprocess
from datetime import UTC, datetime
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from pkilint.bin import lint_crl

from inventory.models import RevocationReason
from inventory.x509 import der
from inventory.x509.keys import KeyType, signature_hash
from revocation import crl
from tests.revocation.issuers import DAY, KEY_TYPES, NOW, Issuer, issuer

ADDRESS = "http://pki.example/crl/meters/7.crl"

moments = st.integers(-631_152_000, 5_680_281_599).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
revocations = st.tuples(
    st.integers(1, 2**159 - 1), moments, st.sampled_from([str(reason) for reason in RevocationReason])
)


def builder_crl(
    entries: list[tuple[int, datetime, str]],
    *,
    authority: Issuer,
    number: int,
    this_update: datetime,
    next_update: datetime,
    distribution_point: str | None,
) -> x509.CertificateRevocationList:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(this_update)
        .next_update(next_update)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), False)
        .add_extension(x509.CRLNumber(number), False)
    )
    if distribution_point:
        names = [x509.UniformResourceIdentifier(distribution_point)]
        point = x509.IssuingDistributionPoint(names, None, False, False, None, False, False)
        builder = builder.add_extension(point, critical=True)
    for serial, revoked_at, reason in entries:
        revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(revoked_at)
        if reason != "unspecified":
            revoked = revoked.add_extension(x509.CRLReason(x509.ReasonFlags(reason)), critical=False)
        builder = builder.add_revoked_certificate(revoked.build())
    return builder.sign(authority.key, signature_hash(authority.key))


def before_the_signature(crl_der: bytes) -> tuple[bytes, bytes]:
    """Return the signed part and the algorithm identifier, byte for byte."""
    parts = der.only_element(crl_der, der.SEQUENCE).inside()
    return parts.take(der.SEQUENCE).der, parts.take(der.SEQUENCE).der


@settings(max_examples=200, deadline=None)
@given(
    key_type=st.sampled_from(KEY_TYPES),
    entries=st.lists(revocations, max_size=40, unique_by=lambda revocation: revocation[0]),
    number=st.integers(1, 2**63 - 1),
    dates=st.tuples(moments, moments).filter(lambda pair: pair[0] < pair[1]),
    distribution_point=st.sampled_from([None, ADDRESS]),
)
def test_each_byte_but_the_signature_is_the_builders(key_type, entries, number, dates, distribution_point):
    authority = issuer(key_type)
    said = {
        "number": number,
        "this_update": dates[0],
        "next_update": dates[1],
        "distribution_point": distribution_point,
    }

    ours = crl.build(
        (crl.entry(*revocation) for revocation in entries), issuer=authority.certificate, key=authority.key, **said
    )

    theirs = builder_crl(entries, authority=authority, **said).public_bytes(Encoding.DER)
    assert before_the_signature(ours) == before_the_signature(theirs)
    assert x509.load_der_x509_crl(ours).is_signature_valid(authority.key.public_key())
    assert crl.read_head(ours) == crl.Head(number, *dates)


@pytest.mark.parametrize("key_type", KEY_TYPES)
@pytest.mark.parametrize("distribution_point", [None, ADDRESS], ids=["complete", "shard"])
@pytest.mark.parametrize("revoked", [0, 3])
def test_openssl_verifies_and_pkilint_finds_nothing(tmp_path, capsys, key_type, distribution_point, revoked):
    authority = issuer(key_type)
    reasons = ["unspecified", "keyCompromise", "superseded"]
    entries = [crl.entry(2**158 + i, NOW - DAY, reasons[i]) for i in range(revoked)]
    made = crl.build(
        entries,
        issuer=authority.certificate,
        key=authority.key,
        number=4711,
        this_update=NOW,
        next_update=NOW + DAY,
        distribution_point=distribution_point,
    )
    path, issuer_path = tmp_path / "made.crl", tmp_path / "issuer.pem"
    path.write_bytes(made)
    issuer_path.write_bytes(authority.certificate.public_bytes(Encoding.PEM))

    openssl = subprocess.run(
        ["openssl", "crl", "-inform", "DER", "-in", path, "-noout", "-verify", "-CAfile", issuer_path, "-crlnumber"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "verify OK" in openssl.stderr
    assert openssl.stdout.strip() == "crlNumber=0x1267"
    # Not as a program: to import it costs a hundred times what it does.
    found = lint_crl.main(["lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING", str(path)])
    assert (found, capsys.readouterr().out.strip()) == (0, "")


def test_an_unspecified_reason_is_left_out():
    # RFC 5280 5.3.1: the reason code SHOULD be absent instead of using the unspecified (0) value.
    assert crl.entry(1, NOW, "unspecified") == der.element(der.SEQUENCE, der.integer(1), der.time(NOW))


def test_every_reason_of_the_inventory_has_a_code():
    assert set(crl.REASON_CODES) | {"unspecified"} == set(RevocationReason.values)


@pytest.mark.parametrize(
    ("moment", "encoded"),
    [
        (datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), b"\x17\x0d491231235959Z"),
        (datetime(2050, 1, 1, tzinfo=UTC), b"\x18\x0f20500101000000Z"),
        (datetime(1950, 1, 1, tzinfo=UTC), b"\x17\x0d500101000000Z"),
    ],
)
def test_times_change_their_form_in_2050(moment, encoded):
    assert der.time(moment) == encoded
    assert der.only_element(encoded, encoded[0]).as_time() == moment


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_reading_the_head_of_junk_raises_only_the_typed_error(junk):
    with pytest.raises(der.DerError):
        crl.read_head(junk)


@cache
def sample() -> bytes:
    authority = issuer(KeyType.ED25519)
    return crl.build(
        [crl.entry(5, NOW, "superseded")],
        issuer=authority.certificate,
        key=authority.key,
        number=9,
        this_update=NOW,
        next_update=NOW + DAY,
        distribution_point=ADDRESS,
    )


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_reading_the_head_of_a_damaged_crl_raises_only_the_typed_error(data):
    whole = bytearray(sample())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(der.DerError):
        crl.read_head(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


@settings(deadline=None)
@given(st.integers(-(2**200), 2**200))
def test_integers_go_there_and_back(value):
    assert der.only_element(der.integer(value), der.INTEGER).as_integer() == value
