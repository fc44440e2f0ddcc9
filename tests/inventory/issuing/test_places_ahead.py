"""Certificates that follow each other soon take one query each, and each still stands in its own place, in order."""

import threading
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from inventory.audit.record import SYSTEM
from inventory.issuing.certificates import Admission, issue, issue_many
from inventory.models import Authority
from tests.factories import NOW, authority, certification_request, device, fleet

pytestmark = pytest.mark.django_db

MILLISECOND = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def own() -> Authority:
    fleet("ahead", authority=authority("ahead"))
    return authority("ahead")


def admission() -> Admission:
    holder = device(fleet=fleet("ahead"))
    return Admission(holder, holder.fleet.profile, holder.fleet.authority, certification_request(), SYSTEM)


def index_of_one(now: datetime) -> int | None:
    return issue(admission(), now).issuance_index


def test_the_third_in_a_row_and_those_after_it_take_one_query_each(own, django_assert_num_queries):
    asked = [admission() for _ in range(5)]
    indexes = []
    for number, each in enumerate(asked):
        with django_assert_num_queries(2 if number < 2 else 1):
            indexes.append(issue(each, NOW + number * MILLISECOND).issuance_index)
    assert indexes == [0, 1, 2, 3, 4]


def test_what_was_drawn_a_second_ago_is_left_as_a_gap_so_that_places_stand_in_the_order_of_time(own):
    assert [index_of_one(NOW), index_of_one(NOW)] == [0, 1]
    assert [index_of_one(NOW + SECOND), index_of_one(NOW + 2 * SECOND)] == [3, 4]


def test_a_clock_that_was_put_back_takes_nothing_that_was_drawn_ahead(own):
    assert [index_of_one(NOW), index_of_one(NOW)] == [0, 1]
    assert index_of_one(NOW - MILLISECOND) == 3


def test_a_batch_has_no_gap_and_takes_no_place_that_is_held(own):
    assert [index_of_one(NOW), index_of_one(NOW)] == [0, 1]
    batch = [each.issuance_index for each in issue_many([admission(), admission()], NOW)]
    assert (batch, index_of_one(NOW)) == ([3, 4], 2)


def test_what_a_transaction_drew_that_failed_is_used_by_the_next(own):
    for _ in range(2):
        index_of_one(NOW)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        assert [index_of_one(NOW), index_of_one(NOW)] == [2, 3]
        raise ZeroDivisionError
    assert [index_of_one(NOW), index_of_one(NOW)] == [4, 5]


def test_a_statement_that_fails_leaves_nothing_to_be_taken_twice(own):
    for _ in range(2):
        index_of_one(NOW)
    lost = admission()
    lost.device.pk = -1
    with pytest.raises(IntegrityError, match="fleet_id"), transaction.atomic():
        issue(lost, NOW)
    assert [index_of_one(NOW), index_of_one(NOW)] == [4, 5]


@pytest.mark.django_db(transaction=True)
def test_sessions_side_by_side_never_give_one_place_twice(own):
    issued: list[int | None] = []
    asked = [[admission() for _ in range(20)] for _ in range(4)]

    def work(admissions: list[Admission]) -> None:
        try:
            issued.extend(issue(each, NOW).issuance_index for each in admissions)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(each,)) for each in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(issued)) == len(issued) == 80
    # A place that is held when its session ends is a gap.
    assert set(issued) <= set(range(80 + len(threads)))
