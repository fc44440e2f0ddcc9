"""Columns of rows as parameters: PostgreSQL reads back what was written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import connection

from inventory import pg_arrays

pytestmark = pytest.mark.django_db

MOMENTS = [datetime(2027, 3, 1, 12, 0, 0, 1, UTC), None, datetime(1970, 1, 1, tzinfo=timezone(timedelta(hours=-9)))]
OCTETS = [b"", bytes(range(256)), b'\\x"{},NULL']


@pytest.mark.parametrize(
    ("column", "kind", "values"),
    [
        (pg_arrays.integers, "bigint", [1, None, -(2**63), 2**63 - 1]),
        (pg_arrays.moments, "timestamptz", MOMENTS),
        (pg_arrays.octets, "bytea", OCTETS),
        (pg_arrays.integers, "bigint", []),
    ],
)
def test_a_column_holds_its_values_in_their_order(column, kind, values):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT unnest(%s::{kind}[])", [column(values)])
        found = [bytes(value) if kind == "bytea" else value for (value,) in cursor.fetchall()]
    assert found == values
