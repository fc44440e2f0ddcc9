"""Certificates a second through the door into a durable PostgreSQL, beside what the cryptography alone allows."""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from benchmarks import portal
from benchmarks.figure import Figure
from benchmarks.measuring import ROUNDS, Rate, Side, Size, Work, rate_figures, rates, repeated
from inventory.issuing.certificates import issue, issue_many, new_serial
from inventory.issuing.keys.store import signing_key
from inventory.x509.certificate import Contents, Pointers, build
from inventory.x509.csr import parse

_ONE_BY_ONE = {Size.SMALL: 100, Size.FULL: 1000}
_BATCH = {Size.SMALL: 1000, Size.FULL: 5000}
_SIGNATURES = {Size.SMALL: 2000, Size.FULL: 20_000}
_BUILDS = {Size.SMALL: 300, Size.FULL: 3000}


def run(size: Size) -> list[Figure]:
    with portal.running():
        portal.refuse_forgetful_database()
        measured = rates(_sides(size), rounds=ROUNDS[size])
    return _figures(measured)


def _sides(size: Size) -> dict[str, Side]:
    authority = portal.fleet().authority
    issuer, key = authority.x509, signing_key(authority.key_name)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    der = portal.spare_requests()[0]
    message, algorithm = bytes(500), ec.ECDSA(hashes.SHA256())

    def one_by_one() -> Work:
        waiting = portal.admissions(_ONE_BY_ONE[size])

        def work() -> int:
            for admission in waiting:
                issue(admission, datetime.now(UTC))
            return len(waiting)

        return work

    def in_batches() -> Work:
        waiting = portal.admissions(_BATCH[size])

        def work() -> int:
            for start in range(0, len(waiting), 1000):
                issue_many(waiting[start : start + 1000], datetime.now(UTC))
            return len(waiting)

        return work

    def assemble() -> x509.Certificate:
        return build(_contents(parsed.public_key), issuer=issuer, signing_key=key)

    parsed = parse(der)
    return {
        "issue": one_by_one,
        "issue_many": in_batches,
        "raw_sign": repeated(_SIGNATURES[size], lambda: key.sign(message, algorithm)),
        "csr_parse_verify": repeated(_BUILDS[size], lambda: parse(der)),
        "assemble": repeated(_BUILDS[size], assemble),
        "csr_and_assemble": repeated(
            _BUILDS[size], lambda: build(_contents(parse(der).public_key), issuer=issuer, signing_key=key)
        ),
    }


_NAME = x509.Name.from_rfc4514_string("CN=BENCH-00000001,O=Benchmark")
_URL = "http://127.0.0.1:8080"
_POINTERS = Pointers(f"{_URL}/crl/mfg-1/0.crl", f"{_URL}/ocsp/mfg-1/", f"{_URL}/ca/mfg-1.cer")
_NOT_BEFORE, _NOT_AFTER = datetime(2027, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)


def _contents(public_key: ec.EllipticCurvePublicKey) -> Contents:
    return Contents(
        serial=new_serial(),
        subject=_NAME,
        public_key=public_key,
        not_before=_NOT_BEFORE,
        not_after=_NOT_AFTER,
        pointers=_POINTERS,
        extended_key_usages=[ExtendedKeyUsageOID.CLIENT_AUTH],
    )


def _figures(measured: dict[str, Rate]) -> list[Figure]:
    signed, signed_cpu = rate_figures("issue.raw_sign", "P-256 signatures", measured["raw_sign"])
    limit, limit_cpu = rate_figures("issue.csr_and_assemble", "certificates", measured["csr_and_assemble"])
    one, one_cpu = rate_figures("issue.one_by_one", "certificates", measured["issue"])
    many, many_cpu = rate_figures("issue.by_1000", "certificates", measured["issue_many"])
    verified, _ = rate_figures("issue.csr_parse_verify", "requests", measured["csr_parse_verify"])
    return [
        signed,
        signed_cpu,
        verified.beside(signed),
        limit.beside(signed),
        one.beside(signed),
        one_cpu.beside(signed_cpu),
        one.beside(limit, "issue.one_by_one_of_limit"),
        many.beside(signed),
        many_cpu.beside(signed_cpu),
        many.beside(one, "issue.by_1000_of_one_by_one"),
        Figure("P8", measured["assemble"].per_cpu_second, "certificates/CPU-s").beside(signed_cpu),
        Figure("P10", _with_proof(measured), "certificates/s").beside(limit),
        limit_cpu.beside(signed_cpu),
    ]


def _with_proof(measured: dict[str, Rate]) -> float:
    """Return the rate of batches whose requests are parsed and verified first: one after the other."""
    return 1 / (1 / measured["issue_many"].per_second + 1 / measured["csr_parse_verify"].per_second)
