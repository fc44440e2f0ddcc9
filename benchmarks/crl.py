"""Whole CRLs of many entries, from prepared entries to signed bytes, beside the builder of cryptography."""

import hashlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from benchmarks.figure import Figure
from benchmarks.measuring import ROUNDS, Rate, Side, Size, rates, repeated
from inventory.issuing.serial_numbers import new_serial
from revocation import crl

_ENTRIES = {Size.SMALL: (1_000, 10_000, 100_000), Size.FULL: (10_000, 100_000, 1_000_000)}
_THIS_UPDATE = datetime(2027, 3, 1, tzinfo=UTC)
_NEXT_UPDATE = _THIS_UPDATE + timedelta(days=1)
_REASON = "keyCompromise"


def run(size: Size) -> list[Figure]:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = _issuer(key)
    figures, seconds = [], {}
    for count in _ENTRIES[size]:
        measured = rates(_sides(count, issuer, key), rounds=ROUNDS[size])
        seconds[count] = 1 / measured["ours"].per_second
        figures += _figures(count, measured)
    return [*figures, _growth(seconds)]


def _sides(count: int, issuer: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> dict[str, Side]:
    serials = [int.from_bytes(new_serial(index)) for index in range(count)]
    encoded = [crl.entry(serial, _THIS_UPDATE, _REASON) for serial in serials]
    listed = [_listed(serial) for serial in serials]
    whole = _ours(encoded, issuer, key)
    return {
        "ours": repeated(1, lambda: _ours(encoded, issuer, key)),
        "with entries": repeated(
            1, lambda: _ours([crl.entry(serial, _THIS_UPDATE, _REASON) for serial in serials], issuer, key)
        ),
        "builder": repeated(1, lambda: _builders(listed, issuer, key)),
        "hash": repeated(1, lambda: hashlib.sha256(whole).digest()),
    }


def _ours(entries: Sequence[bytes], issuer: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    return crl.build(entries, issuer=issuer, key=key, number=1, this_update=_THIS_UPDATE, next_update=_NEXT_UPDATE)


def _builders(
    listed: list[x509.RevokedCertificate], issuer: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> bytes:
    # The list as a private argument: its public way, one by one, copies the list each time.
    builder = x509.CertificateRevocationListBuilder(
        issuer.subject,
        _THIS_UPDATE,
        _NEXT_UPDATE,
        [
            x509.Extension(x509.AuthorityKeyIdentifier.oid, False, _key_identifier(issuer)),
            x509.Extension(x509.CRLNumber.oid, False, x509.CRLNumber(1)),
        ],
        listed,
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _listed(serial: int) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_THIS_UPDATE)
    return builder.add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False).build()


def _key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _issuer(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name.from_rfc4514_string("CN=Benchmark CA,O=Benchmark")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(new_serial(0)))
        .not_valid_before(_THIS_UPDATE - timedelta(days=365))
        .not_valid_after(_THIS_UPDATE + timedelta(days=3650))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _figures(count: int, measured: dict[str, Rate]) -> list[Figure]:
    milliseconds = {name: 1000 / rate.per_second for name, rate in measured.items()}
    label = f"{count:_}"
    builder = Figure(f"crl.builder_{label}_ms", milliseconds["builder"], "ms")
    hashed = Figure(f"crl.sha256_{label}_ms", milliseconds["hash"], "ms")
    ours = Figure(f"crl.build_{label}_ms", milliseconds["ours"], "ms")
    encoding = Figure(f"crl.encode_and_build_{label}_ms", milliseconds["with entries"], "ms")
    faster = Figure(
        "P1" if count == 1_000_000 else f"crl.times_faster_{label}",
        milliseconds["builder"] / milliseconds["ours"],
        "times as fast",
        builder.name,
        milliseconds["builder"] / milliseconds["ours"],
    )
    return [builder, hashed, ours.beside(hashed), encoding.beside(builder), faster]


def _growth(seconds: dict[int, float]) -> Figure:
    """Return the exponent between the smallest and the largest: 1 is linear, 2 would be quadratic."""
    few, many = min(seconds), max(seconds)
    return Figure("crl.growth_exponent", math.log(seconds[many] / seconds[few]) / math.log(many / few), "")
