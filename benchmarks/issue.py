"""Certificates a second through the door into a durable PostgreSQL, beside what the cryptography alone allows.

At full size beside django-ca too, which is installed for it. Our side always verifies each request's proof of
possession and writes an audit event; django-ca does neither.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from django.db import connection

from benchmarks import django_ca, portal, sustained
from benchmarks.figure import Figure
from benchmarks.measuring import ROUNDS, Rate, Side, Size, Work, rate_figures, rates, repeated
from inventory.issuing.certificates import Admission, issue, issue_many
from inventory.issuing.keys.store import signing_key
from inventory.issuing.serial_numbers import new_serial
from inventory.x509.certificate import Contents, Pointers, build
from inventory.x509.csr import CertificationRequest, parse
from inventory.x509.template import Blanks, compile_template

_ONE_BY_ONE = {Size.SMALL: 100, Size.FULL: 1000}
_BATCH = 1000
_BATCHES = {Size.SMALL: 1, Size.FULL: 4}
_SIGNATURES = {Size.SMALL: 2000, Size.FULL: 20_000}
_BUILDS = {Size.SMALL: 300, Size.FULL: 3000}
_SUSTAINED = {Size.SMALL: timedelta(seconds=5), Size.FULL: timedelta(minutes=5)}
# Threads of one process: while the database stores for one, another verifies and signs.
_CLIENTS = 2


def run(size: Size) -> list[Figure]:
    with portal.running():
        portal.refuse_forgetful_database()
        if size is Size.FULL:
            with django_ca.running() as peer:
                measured = rates(_sides(size) | _peers_sides(peer), rounds=ROUNDS[size])
        else:
            measured = rates(_sides(size), rounds=ROUNDS[size])
        endurance = sustained.run(_SUSTAINED[size])
    return [*_figures(measured), *endurance]


def _sides(size: Size) -> dict[str, Side]:
    authority = portal.fleet().authority
    issuer, key = authority.x509, signing_key(authority.key_name)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    der = portal.spare_requests()[0]
    message, algorithm = bytes(500), ec.ECDSA(hashes.SHA256())
    template = compile_template(
        issuer=issuer,
        signing_key=key,
        extended_key_usages=_USAGES,
        enciphers_keys=False,
        pointers=_POINTERS,
    )

    subject = _NAME.public_bytes()
    alternative_names = x509.SubjectAlternativeName(_ALTERNATIVE_NAMES).public_bytes()

    def assemble(request: CertificationRequest) -> bytes:
        return template.fill(
            Blanks(
                serial=new_serial(1),
                not_before=_NOT_BEFORE,
                not_after=_NOT_AFTER,
                subject=subject,
                public_key=request.spki,
                alternative_names=alternative_names,
            )
        )

    parsed = parse(der)
    return {
        "issue": _one_by_one(_ONE_BY_ONE[size]),
        "issue_many": _in_batches(_BATCHES[size]),
        "raw_sign": repeated(_SIGNATURES[size], lambda: key.sign(message, algorithm)),
        "csr_parse_verify": repeated(_BUILDS[size], lambda: parse(der)),
        "template": repeated(_SIGNATURES[size] // 4, lambda: assemble(parsed)),
        "builder": repeated(_BUILDS[size], lambda: build(_contents(parsed), issuer=issuer, signing_key=key)),
        "csr_and_template": repeated(_BUILDS[size], lambda: assemble(parse(der))),
    }


def _one_by_one(count: int) -> Side:
    """Issue from request to row, one after the other."""

    def prepare() -> Work:
        waiting = portal.waiting(count)

        def work() -> int:
            for admission in waiting:
                issue(admission(), datetime.now(UTC))
            return count

        return work

    return prepare


def _in_batches(batches: int) -> Side:
    """Issue from request to row by the thousand, `batches` for each client."""

    def prepare() -> Work:
        shares = [[portal.waiting(_BATCH) for _ in range(batches)] for _ in range(_CLIENTS)]

        def client(share: list[list[Callable[[], Admission]]]) -> None:
            for waiting in share:
                issue_many([admission() for admission in waiting], datetime.now(UTC))
            connection.close()

        def work() -> int:
            threads = [threading.Thread(target=client, args=(share,)) for share in shares]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return _CLIENTS * batches * _BATCH

        return work

    return prepare


def _peers_sides(peer: django_ca.Peer) -> dict[str, Side]:
    def work() -> int:
        peer.issue(500, _CLIENTS)
        return 500 * _CLIENTS

    def one_by_one() -> int:
        peer.issue(500, 1)
        return 500

    return {"django_ca": lambda: work, "django_ca_one_by_one": lambda: one_by_one}


_NAME = x509.Name.from_rfc4514_string("CN=BENCH-00000001,O=Benchmark")
_ALTERNATIVE_NAMES = [x509.DNSName("BENCH-00000001.example")]
_URL = "http://127.0.0.1:8080"
_POINTERS = Pointers(f"{_URL}/crl/mfg-1/0.crl", f"{_URL}/ocsp/mfg-1/", f"{_URL}/ca/mfg-1.cer")
_NOT_BEFORE, _NOT_AFTER = datetime(2027, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
_USAGES = [ExtendedKeyUsageOID.CLIENT_AUTH]


def _contents(request: CertificationRequest) -> Contents:
    return Contents(
        serial=int.from_bytes(new_serial(1)),
        subject=_NAME,
        public_key=request.public_key,
        not_before=_NOT_BEFORE,
        not_after=_NOT_AFTER,
        pointers=_POINTERS,
        alternative_names=_ALTERNATIVE_NAMES,
        extended_key_usages=_USAGES,
    )


def _figures(measured: dict[str, Rate]) -> list[Figure]:
    signed, signed_cpu = rate_figures("issue.raw_sign", "P-256 signatures", measured["raw_sign"])
    limit, _ = rate_figures("issue.csr_and_template", "certificates", measured["csr_and_template"])
    one, one_cpu = rate_figures("issue.one_by_one", "certificates", measured["issue"])
    many, many_cpu = rate_figures("issue.by_1000", "certificates", measured["issue_many"])
    verified, _ = rate_figures("issue.csr_parse_verify", "requests", measured["csr_parse_verify"])
    built, _ = rate_figures("issue.builder", "certificates", measured["builder"])
    assembled = Figure("P8", measured["template"].per_cpu_second, "certificates/CPU-s")
    return [
        signed,
        signed_cpu,
        verified.beside(signed),
        built.beside(signed),
        assembled.beside(signed_cpu).asked(floor=0.5, aim=0.75),
        limit.beside(signed),
        one.beside(limit),
        one_cpu.beside(signed_cpu),
        many.beside(one),
        many_cpu.beside(signed_cpu),
        *(_beside_django_ca(measured, one, many) if "django_ca" in measured else []),
        many.beside(limit, "P10").asked(floor=0.6, aim=0.85),
    ]


def _beside_django_ca(measured: dict[str, Rate], one: Figure, many: Figure) -> list[Figure]:
    theirs = Figure("issue.django_ca_per_s", measured["django_ca"].per_second, "certificates/s")
    alone = Figure("issue.django_ca_one_by_one_per_s", measured["django_ca_one_by_one"].per_second, "certificates/s")
    return [
        theirs,
        alone,
        one.beside(alone, "issue.one_by_one_beside_django_ca").asked(floor=1.4),
        many.beside(theirs, "P9").asked(floor=5, aim=8),
    ]
