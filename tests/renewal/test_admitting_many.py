"""Many requests at once come out as the same requests one after the other, in as many queries as one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.audit.record import SYSTEM
from inventory.models import (
    AuditEvent,
    Certificate,
    Device,
    DeviceStatus,
    RevocationReason,
    UnexpectedSighting,
)
from inventory.x509.csr import parse
from renewal import enrolling
from renewal.models import EnrolmentProtocol, EnrolmentSecret, RefusalTally
from renewal.refusals import Refusal, RefusalCode
from renewal.requests import Enrolment, Renewal, Request
from revocation import orders
from tests.factories import DAY, NOW, Enrolled, csr_der, device, enrolled, enrolled_many, fleet, key, profile
from tests.renewal.rows import secret_of

pytestmark = pytest.mark.django_db

NAT, ELSEWHERE = "192.0.2.66", "198.51.100.7"


@lru_cache(maxsize=4096)
def request(private_key: Any, subject: Any) -> Any:
    return parse(csr_der(private_key, subject))


@dataclass
class World:
    """Devices of every kind that the gate tells apart, keys that several of them may ask for, and secrets."""

    meters: list[Enrolled] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)
    secrets: list[tuple[str, str]] = field(default_factory=list)


def world() -> World:
    profile(max_unconfirmed=2)
    used, unused, early, expired, suspended, robbed = (
        enrolled(expires_in=days * DAY, used=is_used)
        for days, is_used in ((30, True), (30, False), (200, True), (-1, True), (30, True), (30, True))
    )
    Device.objects.filter(pk=suspended.device.pk).update(status=DeviceStatus.SUSPENDED)
    newer = enrolled(robbed.device, expires_in=40 * DAY, used=False)
    orders.revoke(newer.certificate, orders.Order(RevocationReason.KEY_COMPROMISE, SYSTEM), NOW)
    again = Enrolled(used.device, enrolled(used.device, expires_in=50 * DAY, used=False).certificate, key())
    new, other = device(), device()
    late = device()
    made = World(
        meters=[used, unused, early, expired, suspended, robbed, newer, again],
        keys=[key(), key(), key(), ec.generate_private_key(ec.SECP384R1()), used.private_key, newer.private_key],
        secrets=[
            (new.serial, secret_of(new)),
            (other.serial, secret_of(other)),
            (late.serial, secret_of(late, now=NOW - 100 * DAY)),
            (new.serial, "guess"),
            (used.device.serial, secret_of(used.device)),
            ("NOBODY", "guess"),
        ],
    )
    # A few more from there, and the brakes hold.
    guesses = [Enrolment(other.serial, "guess", request(key(), ""), "demo", EnrolmentProtocol.EST, NAT)] * 8
    strange = Enrolment("NOBODY", "guess", request(key(), ""), "demo", EnrolmentProtocol.EST, NAT)
    enrolling.admit_many([*guesses, *[strange] * 51], NOW)
    return made


def requests_of(made: World) -> st.SearchStrategy[Request]:
    meters, keys = st.sampled_from(made.meters), st.sampled_from(made.keys)
    addresses = st.sampled_from([NAT, ELSEWHERE])

    def renewal(meter: Enrolled, own: Any, of: Enrolled, label: str | None, repeats: bool, address: str) -> Renewal:
        return Renewal(meter.der, request(own, of.certificate.x509.subject), label, repeats, address)

    def named_right(meter: Enrolled, own: Any, address: str) -> Renewal:
        return renewal(meter, own, meter, "demo", True, address)

    def enrolment(known: tuple[str, str], own: Any, label: str, address: str) -> Enrolment:
        return Enrolment(*known, request(own, ""), label, EnrolmentProtocol.EST, address)

    stranger = Renewal(b"not one of ours", request(made.keys[0], ""), source_address=NAT)
    return st.one_of(
        st.builds(named_right, meters, keys, addresses),
        st.builds(enrolment, st.sampled_from(made.secrets), keys, st.sampled_from(["demo", "demo", "x"]), addresses),
        st.builds(renewal, meters, keys, meters, st.sampled_from([None, "x"]), st.booleans(), addresses),
        st.just(stranger),
    )


class Names(dict[int | None, tuple[object, ...]]):
    """What each certificate is, without what differs between two runs: keys of rows, serial numbers."""

    def __init__(self) -> None:
        super().__init__({None: ()})
        for each in Certificate.objects.select_related("predecessor", "device").filter(device__isnull=False):
            assert each.device
            before = bytes(each.predecessor.spki_sha256) if each.predecessor else b""
            self[each.pk] = each.device.serial, bytes(each.spki_sha256), before


def outcome(of: Certificate | Refusal, names: Names) -> tuple[object, ...]:
    if isinstance(of, Refusal):
        details = {**of.details, "held_by": names[of.details.get("held_by")]}
        return of.code, of.message, of.retry_after, sorted(details.items(), key=str)
    return names[of.pk]


def left_behind(names: Names) -> dict[str, object]:
    """Return what requests left in the database."""
    certificates = Certificate.objects.filter(device__isnull=False)
    return {
        "certificates": sorted((str(names[each.pk]), each.state, str(each.activated_at)) for each in certificates),
        "devices": sorted(Device.objects.values_list("serial", "presence__last_seen_at")),
        "secrets": sorted(
            (bytes(each.sha256), str(each.spent_at), str(names[each.certificate_id]))
            for each in EnrolmentSecret.objects.all()
        ),
        "events": sorted(
            (each.action, each.actor_kind, each.actor, str(each.source_address), each.object_name,
             str(each.device_id), str(names[each.certificate_id]) if each.device_id else "",
             str(each.details.get("reason")), str(each.details.get("oddity")), str(each.details.get("superseded")))
            for each in AuditEvent.objects.all()
        ),
        "tallies": sorted(RefusalTally.objects.values_list("action", "network", "count")),
        "oddities": sorted(
            (each.oddity, each.name, each.count, str(names[each.certificate_id]))
            for each in UnexpectedSighting.objects.all()
        ),
    }  # fmt: skip


def tried(ask: Callable[[], Sequence[Certificate | Refusal]]) -> tuple[object, object]:
    """Return what became of requests, and undo it."""
    with transaction.atomic():
        asked = ask()
        names = Names()
        result = [outcome(each, names) for each in asked], left_behind(names)
        transaction.set_rollback(True)
    return result


def test_many_requests_come_out_as_one_after_the_other():
    made = world()
    codes: set[object] = set()

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.lists(requests_of(made), min_size=2, max_size=12))
    def same(batch: list[Request]) -> None:
        alone, left_alone = tried(lambda: [enrolling.admit_many([each], NOW)[0] for each in batch])
        together, left_together = tried(lambda: enrolling.admit_many(batch, NOW))
        assert together == alone
        assert left_together == left_alone
        codes.update(each[0] for each in alone if isinstance(each[0], RefusalCode))  # type: ignore[attr-defined]

    same()
    assert len(codes) >= 10


def renewals(number: int) -> list[Renewal]:
    """Return requests of as many devices, each for a key of its own."""
    home = fleet()
    devices = [device(fleet=home) for _ in range(number)]
    enrolled_many(devices)
    certificates = Certificate.objects.filter(device__in=devices).order_by("pk")
    return [Renewal(bytes(each.der), parse(csr_der(key(), each.x509.subject)), "demo") for each in certificates]


def enrolments(number: int) -> list[Enrolment]:
    home = fleet()
    devices = [device(fleet=home) for _ in range(number)]
    return [
        Enrolment(each.serial, secret_of(each), parse(csr_der(key())), "demo", EnrolmentProtocol.EST)
        for each in devices
    ]


# One certificate, its event and the sighting are one statement; of many, the sightings are one and two are COPYs.
@pytest.mark.parametrize(
    ("requests", "number", "queries"), [(renewals, 1, 4), (renewals, 300, 6), (enrolments, 1, 6), (enrolments, 300, 7)]
)
def test_hundreds_take_hardly_more_queries_than_one(requests, number, queries, django_assert_num_queries):
    fleet()
    asked = requests(number)
    # A savepoint takes two inside the test's transaction.
    with django_assert_num_queries(queries + 2):
        outcomes = enrolling.admit_many(asked, NOW)
    assert len({each.pk for each in outcomes if isinstance(each, Certificate)}) == number


def test_refusals_take_as_many_queries_for_hundreds_as_for_one(django_assert_max_num_queries):
    fleet()
    for number in (1, 300):
        known = device()
        asked = [Enrolment(known.serial, "guess", parse(csr_der(key())), "demo", EnrolmentProtocol.EST)] * number
        with django_assert_max_num_queries(6 + 2):
            enrolling.admit_many(asked, NOW)


def test_of_two_requests_of_a_batch_for_one_key_the_second_gets_the_answer_it_would_have_got():
    meter, other, own = enrolled(), enrolled(), key()
    again = Renewal(meter.der, parse(meter.renewal_request(own)), "demo")
    clone = Renewal(other.der, parse(other.renewal_request(own)), "demo")
    first, second, third = enrolling.admit_many([again, again, clone], NOW)
    assert isinstance(first, Certificate)
    assert first == second
    assert isinstance(third, Refusal)
    assert third.code == RefusalCode.KEY_OF_ANOTHER_DEVICE


def test_an_empty_batch_asks_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert enrolling.admit_many([], NOW) == []
