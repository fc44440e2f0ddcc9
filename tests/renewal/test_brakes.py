"""Brakes: strangers stop nobody with a right credential, and leave a bounded number of rows that miss nothing."""

from datetime import timedelta

import pytest

from inventory.audit.networks import network_of
from inventory.models import AuditAction, AuditEvent, Certificate, Device
from inventory.models.audit import ActorKind
from renewal import brakes, jobs
from renewal.models import RefusalTally
from renewal.refusals import RefusalCode
from tests.factories import NOW, device, fleet
from tests.parallel import at_once
from tests.renewal.rows import secret_of
from tests.renewal.test_enrolling import code, enrol

pytestmark = pytest.mark.django_db

NAT = "192.0.2.66"


def events() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=AuditAction.ENROLMENT_REFUSED).order_by("pk"))


def total() -> int:
    """Refused enrolments of which the audit log knows once all is told."""
    return sum(each.details.get("count", 1) for each in events())


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        (None, ""),
    ],
)
def test_an_ipv4_address_counts_by_itself_and_an_ipv6_address_with_its_64_bits(address, network):
    assert network_of(address) == network


def test_after_sixty_wrong_secrets_behind_one_address_the_right_one_of_another_device_is_served():
    guessed, honest = device(), device()
    secret = secret_of(honest)
    for _ in range(60):
        enrol(guessed, "guess", address=NAT)
    assert isinstance(enrol(honest, secret, address=NAT), Certificate)


def test_guessing_at_a_device_does_not_keep_the_device_itself_out():
    guessed = device()
    secret = secret_of(guessed)
    codes = [code(enrol(guessed, "guess", address=NAT)) for _ in range(brakes.MOST_OF_DEVICE + 1)]
    assert codes[-1] == RefusalCode.TOO_MANY_REFUSALS
    assert isinstance(enrol(guessed, secret, address=NAT), Certificate)


def test_a_network_of_ipv6_counts_as_one():
    fleet()
    unknown = Device(serial="NOBODY")
    codes = [code(enrol(unknown, "guess", address=f"2001:db8::{n:x}")) for n in range(brakes.MOST_OF_NETWORK + 1)]
    assert codes.count(RefusalCode.WRONG_SECRET) == brakes.MOST_OF_NETWORK
    assert code(enrol(unknown, "guess", address="2001:db8:0:1::1")) == RefusalCode.WRONG_SECRET


def test_refusals_from_many_addresses_leave_few_rows_and_the_total_is_right():
    fleet()
    unknown, asked = Device(serial="NOBODY"), 3 * brakes.MOST_NETWORKS
    for n in range(asked):
        second = NOW + timedelta(milliseconds=n)
        assert code(enrol(unknown, "guess", now=second, address=f"10.0.{n // 256}.{n % 256}"))
    assert len(events()) == brakes.MOST_EVENTS
    assert RefusalTally.objects.count() <= brakes.MOST_NETWORKS + 1
    brakes.tell(NOW + 2 * brakes.WINDOW)
    assert total() == asked
    assert len(events()) <= brakes.MOST_EVENTS + brakes.MOST_NETWORKS + 1
    assert not RefusalTally.objects.exists()


def test_what_is_counted_is_told_by_network_with_its_number_first_and_last():
    guessed = device()
    for n in range(brakes.MOST_OF_DEVICE + 7):
        enrol(guessed, "guess", now=NOW + timedelta(seconds=n), address=NAT)
    assert brakes.tell(NOW + timedelta(seconds=brakes.MOST_OF_DEVICE + 7)) == 0  # the window goes on
    assert brakes.tell(NOW + 2 * brakes.WINDOW) == 1
    told = events()[-1]
    assert told.details == {
        "count": 7,
        "network": f"{NAT}/32",
        "first": (NOW + timedelta(seconds=brakes.MOST_OF_DEVICE)).isoformat(),
        "last": (NOW + timedelta(seconds=brakes.MOST_OF_DEVICE + 6)).isoformat(),
    }
    assert (told.source_address, told.actor_kind) == (NAT, ActorKind.SYSTEM)
    assert total() == brakes.MOST_OF_DEVICE + 7
    jobs.tell_refusals()
    assert total() == brakes.MOST_OF_DEVICE + 7


def test_what_is_told_brakes_nobody():
    guessed = device()
    for _ in range(brakes.MOST_OF_NETWORK * 2):
        enrol(guessed, "guess", address=NAT)
    later = NOW + 2 * brakes.WINDOW
    brakes.tell(later)
    codes = {code(enrol(guessed, "guess", now=later + timedelta(seconds=n), address=NAT)) for n in range(3)}
    assert codes == {RefusalCode.WRONG_SECRET}


@pytest.mark.django_db(transaction=True)
def test_parallel_refusals_are_all_counted():
    fleet()
    unknown = Device(serial="NOBODY")
    asked = 2 * brakes.MOST_OF_NETWORK
    for _ in range(asked // 10):
        at_once([lambda: enrol(unknown, "guess", address=NAT)] * 10)
    brakes.tell(NOW + 2 * brakes.WINDOW)
    assert total() == asked
