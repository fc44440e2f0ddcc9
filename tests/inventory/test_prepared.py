"""What is sent all day is parsed and planned once a connection."""

import pytest
from django.db import IntegrityError, connection, transaction
from psycopg.types.numeric import Int8

from inventory import pg_arrays, prepared
from inventory.models import DeviceDelta
from inventory.prepared import Statement

pytestmark = pytest.mark.django_db


def statements(text: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE strpos(statement, %s) > 0", [text])
        [count] = cursor.fetchone()
    return int(count)


def test_a_statement_is_prepared_once_whatever_the_size_of_its_numbers():
    for number in (1, 40_000, 1 << 40):
        assert prepared.selected("SELECT %s::bigint AS prepared_once", [Int8(number)]) == [(number,)]
        array = pg_arrays.integers([number])
        assert prepared.selected("SELECT %s::bigint[] AS prepared_array", [array]) == [([number],)]
    assert statements("prepared_once") == 1
    assert statements("prepared_array") == 1


def test_its_queries_are_counted_and_its_errors_are_djangos(django_assert_num_queries):
    with django_assert_num_queries(1):
        prepared.selected("SELECT 1", [])
    with django_assert_num_queries(1):
        prepared.execute("SELECT 1", [])
    with pytest.raises(IntegrityError), transaction.atomic():
        prepared.execute("INSERT INTO inventory_devicedelta (fleet_id) VALUES (NULL)", [])


def test_it_is_part_of_the_transaction_that_django_began():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        prepared.execute("CREATE TEMPORARY TABLE undone ()", [])
        raise ZeroDivisionError
    assert prepared.selected("SELECT to_regclass('undone')", []) == [(None,)]


@pytest.mark.parametrize("last", ["SELECT %s::text", "WITH other AS (SELECT %s::text AS word) SELECT word FROM other"])
def test_two_statements_are_sent_as_one_and_both_are_done(last, django_assert_num_queries):
    first = Statement("INSERT INTO inventory_devicedelta (fleet_id, number, never_seen) VALUES (%s, 1, 0)", [Int8(7)])
    with django_assert_num_queries(1):
        assert prepared.selected(*Statement(last, ["word"]).after(first)) == [("word",)]
    assert list(DeviceDelta.objects.filter(fleet_id=7).values_list("number")) == [(1,)]
