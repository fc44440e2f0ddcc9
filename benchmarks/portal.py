"""The parts of a portal that a benchmark needs, started as `manage.py up` starts them: durable, and on real sockets."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.db import connection, connections
from django.test import Client

from certportal import home, processes
from certportal.models import User
from certportal.supervisor import Supervisor
from inventory.audit.record import SYSTEM
from inventory.issuing.certificates import Admission
from inventory.models import Authority, Device, Fleet, Profile
from inventory.x509.csr import CertificationRequest, parse

_SECONDS_TO_GET_READY = 120
FLEET = "bench"
DAY = timedelta(days=1)


@dataclass
class Processes:
    """The processes that were started, by the lines in which their supervisor tells of them."""

    notices: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> int:
        started = f"{name}: started, process "
        return next(int(line.removeprefix(started)) for line in reversed(self.notices) if line.startswith(started))


@contextlib.contextmanager
def running(planes: Sequence[str] = ()) -> Iterator[Processes]:
    """Run the embedded stores, set up, and the planes of these names; whatever an earlier benchmark made is there."""
    home.prepare(settings.HOME)
    started = Processes()
    supervisor = Supervisor(settings.HOME / "log", notice=started.notices.append)
    try:
        supervisor.start(processes.embedded_stores(), within=_SECONDS_TO_GET_READY)
        supervisor.run_once(processes.first_start())
        wanted = [child for child in processes.portal_processes() if child.name in planes]
        supervisor.start(wanted, within=_SECONDS_TO_GET_READY)
        yield started
    finally:
        connections.close_all()
        supervisor.stop()


def refuse_forgetful_database() -> None:
    """Fail when a commit is not on disk: what is measured would not be durable."""
    with connection.cursor() as cursor:
        for setting in ("fsync", "synchronous_commit"):
            cursor.execute(f"SHOW {setting}")
            [value] = cursor.fetchone()
            assert value == "on", f"{setting} is {value}: what is measured would not be durable."


def analyze() -> None:
    """Let PostgreSQL count its rows, as it does by itself within a minute."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def person() -> User:
    """Return somebody who may do everything."""
    user, _ = User.objects.get_or_create(
        username="bench", defaults={"is_superuser": True, "is_staff": True, "is_active": True}
    )
    return user


def led_to(address: str) -> str:
    """Return where a page sends the browser."""
    answer = _client().get(address)
    assert answer.status_code == 302, (address, answer.status_code)
    return answer.headers["Location"]


def _client() -> Client:
    client = Client(headers={"host": "localhost"})
    client.force_login(person())
    return client


def browser() -> Callable[[str], bytes]:
    """Return a way to the pages of the portal, in this process: what is between is everything but the socket."""
    client = _client()

    def ask(address: str) -> bytes:
        answer = client.get(address)
        assert answer.status_code == 200, (address, answer.status_code, answer.headers.get("Location"))
        return answer.content

    return ask


Ask = Callable[[str, str], dict[str, Any]]


def service_account() -> Ask:
    """Return a way to send JSON to the API as somebody who may do everything, in this process."""
    client = _client()

    def ask(address: str, body: str) -> dict[str, Any]:
        answer = client.post(address, body, content_type="application/json")
        assert answer.status_code == 200, (address, answer.status_code, answer.content[:300])
        found: dict[str, Any] = answer.json()
        return found

    return ask


def fleet() -> Fleet:
    """Return the fleet that benchmarks fill, ruled like the demo's."""
    found = Fleet.objects.select_related("profile", "authority__certificate").filter(slug=FLEET).first()
    if found:
        return found
    profile = Profile.objects.create(
        slug=FLEET,
        name="Benchmark",
        validity=3 * 365 * DAY,
        jitter_max=30 * DAY,
        renewal_window=90 * DAY,
        subject_template="CN={serial},O=Benchmark",
    )
    authority = Authority.objects.select_related("certificate").exclude(parent=None).get()
    return Fleet.objects.create(slug=FLEET, name="Benchmark", authority=authority, profile=profile)


def devices(count: int) -> list[Device]:
    """Register `count` new devices."""
    made, first, now = fleet(), Device.objects.count(), datetime.now(UTC)
    return Device.objects.bulk_create(
        [Device(fleet=made, serial=f"BENCH-{first + number:08}", registered_at=now) for number in range(count)],
        batch_size=1000,
    )


@cache
def _spare_keys() -> list[ec.EllipticCurvePrivateKey]:
    return [ec.generate_private_key(ec.SECP256R1()) for _ in range(200)]


def request_der(key: ec.EllipticCurvePrivateKey, subject: x509.Name | None = None) -> bytes:
    """Return a certification request signed by `key`."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject or x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def request_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the same in PEM."""
    return x509.load_der_x509_csr(request_der(key)).public_bytes(Encoding.PEM).decode()


@cache
def spare_requests() -> list[bytes]:
    """Return requests for keys that many devices may share: that costs the portal the same, and us nothing."""
    return [request_der(key) for key in _spare_keys()]


def admissions(count: int) -> list[Admission]:
    """Return decisions that `count` new devices may have a certificate."""
    made = devices(count)
    parsed = [parse(der) for der in spare_requests()]
    return [
        Admission(device, device.fleet.profile, device.fleet.authority, parsed[number % len(parsed)], SYSTEM)
        for number, device in enumerate(made)
    ]


def with_request(admission: Admission, request: CertificationRequest) -> Admission:
    return Admission(admission.device, admission.profile, admission.authority, request, admission.actor)


def waiting(count: int) -> list[Callable[[], Admission]]:
    """Return what reads and verifies the request of each of `count` new devices, and admits it."""

    def admit(admission: Admission, der: bytes) -> Admission:
        return with_request(admission, parse(der))

    ders = spare_requests()
    return [partial(admit, admission, ders[number % len(ders)]) for number, admission in enumerate(admissions(count))]
