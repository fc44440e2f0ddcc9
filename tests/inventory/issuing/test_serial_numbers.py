"""Serial numbers: twenty octets, unpredictable, and at their end the place among what an authority issued."""

import threading
from collections import Counter

import pytest
from django.db import DatabaseError, connection, transaction

from inventory.audit.record import SYSTEM
from inventory.issuing.certificates import Admission, issue, issue_many
from inventory.issuing.serial_numbers import draw, new_serial
from inventory.models import Authority, Certificate
from tests.factories import NOW, authority, certification_request, device, fleet, profile

pytestmark = pytest.mark.django_db


def admissions(number: int, **changes) -> list[Admission]:
    holder = device(**changes)
    rules = holder.fleet
    return [Admission(holder, rules.profile, rules.authority, certification_request(), SYSTEM) for _ in range(number)]


def test_a_serial_number_has_twenty_octets_is_positive_and_ends_with_the_index():
    for index in (0, 1, 0x80, 0xFFFF, 0x80000000, 2**32 - 1):
        serial = new_serial(index)
        assert len(serial) == 20
        # RFC 5280 4.1.2.2; the first bit of a DER INTEGER is its sign, and a first octet of zero would be left out.
        assert 1 <= serial[0] <= 0x7F
        assert int.from_bytes(serial[-4:]) == index


def test_127_bits_of_a_serial_number_are_random():
    serials = {new_serial(7) for _ in range(10_000)}
    assert len(serials) == 10_000
    numbers = [int.from_bytes(serial) >> 32 for serial in serials]
    for bit in range(127):
        assert 4_500 < sum(number >> bit & 1 for number in numbers) < 5_500
    # 126.99 bits: each first octet is as likely as any other.
    assert set(Counter(serial[0] for serial in serials)) == set(range(1, 128))


def test_what_an_authority_issues_is_numbered_from_zero_without_a_gap():
    own = authority("numbered")
    holder = fleet("numbered", authority=own)
    first = issue_many(admissions(3, fleet=holder), NOW)
    one = issue(admissions(1, fleet=holder)[0], NOW)
    more = issue_many(admissions(2, fleet=holder), NOW)
    assert [certificate.issuance_index for certificate in [*first, one, *more]] == [0, 1, 2, 3, 4, 5]
    for certificate in [*first, one, *more]:
        stored = Certificate.objects.get(pk=certificate.pk)
        assert int(stored.serial, 16) & 0xFFFFFFFF == stored.issuance_index == certificate.issuance_index
        assert stored.x509.serial_number == int(stored.serial, 16)


def test_each_authority_counts_for_itself_and_its_root_counts_it():
    first, second = authority("first"), authority("second")
    mixed = [*admissions(2, fleet=fleet("a", authority=first)), *admissions(2, fleet=fleet("b", authority=second))]
    issued = issue_many([mixed[0], mixed[2], mixed[1], mixed[3]], NOW)
    assert [(each.authority.slug, each.issuance_index) for each in issued] == [
        ("first", 0),
        ("second", 0),
        ("first", 1),
        ("second", 1),
    ]
    assert [first.certificate.issuance_index, second.certificate.issuance_index] == [1, 2]
    assert first.parent.certificate.issuance_index == 0


def test_the_shards_of_an_authority_are_filled_in_turn():
    sharded = authority("sharded", crl_shards=3)
    issued = issue_many(admissions(7, fleet=fleet("sharded", authority=sharded)), NOW)
    assert [certificate.crl_shard for certificate in issued] == [0, 1, 2, 0, 1, 2, 0]


def test_what_is_not_signed_draws_no_number(django_assert_num_queries):
    profile(subject_template="CN={owner}")
    waiting = admissions(1)
    waiting[0].authority.x509  # noqa: B018 - read before we count
    with django_assert_num_queries(0), pytest.raises(ValueError, match="unknown"):
        issue_many(waiting, NOW)


def test_an_index_has_32_bits_and_is_not_used_twice():
    own = authority("full")
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(%s, %s)", [f"inventory_issuance_{own.pk}", 2**32 - 3])
    assert [place.issuance_index for place in draw([own, own])] == [2**32 - 2, 2**32 - 1]
    with pytest.raises(DatabaseError, match="maximum"), transaction.atomic():
        draw([own])


@pytest.mark.django_db(transaction=True)
def test_batches_are_contiguous_whoever_draws_beside_them_and_no_number_comes_twice():
    own = authority("busy")
    drawn: list[list[int]] = []

    def work(number: int) -> None:
        try:
            drawn.extend([place.issuance_index for place in draw([own] * number)] for _ in range(20))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 1, 50, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(batch == list(range(batch[0], batch[0] + len(batch))) for batch in drawn)
    assert sorted(index for batch in drawn for index in batch) == list(range(20 * 252))


@pytest.mark.django_db(transaction=True)
def test_numbers_of_a_transaction_that_fails_are_a_gap_and_hold_up_nobody():
    own = authority("gap")

    def other() -> None:
        try:
            beside.extend(place.issuance_index for place in draw([own]))
        finally:
            connection.close()

    beside: list[int] = []
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        draw([own] * 5)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        raise ZeroDivisionError
    assert beside == [5]
    assert [place.issuance_index for place in draw([own])] == [6]


def test_a_draw_that_fails_leaves_no_lock_behind():
    own = authority("failing")
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(%s, %s)", [f"inventory_issuance_{own.pk}", 2**32 - 1])
        with pytest.raises(DatabaseError), transaction.atomic():
            draw([own])
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        assert cursor.fetchone() == (0,)


def test_an_authority_takes_its_sequence_with_it():
    own = Authority.objects.create(slug="short", name="Short", key_name="short", created_at=NOW)
    Authority.objects.create(slug="theirs", name="Theirs", external_identity=b"x" * 32, created_at=NOW).delete()
    key = own.pk
    own.delete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [f"inventory_issuance_{key}"])
        assert cursor.fetchone() == (None,)
