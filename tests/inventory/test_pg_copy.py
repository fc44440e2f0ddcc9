"""Values in PostgreSQL's binary COPY format: the database reads what was meant."""

import ipaddress
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DataError, connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inventory import pg_copy

pytestmark = pytest.mark.django_db
ENCODERS: dict[str, tuple[str, Any]] = {
    "small": ("smallint", pg_copy.int2),
    "large": ("bigint", pg_copy.int8),
    "words": ("text", pg_copy.text),
    "word": ("text", pg_copy.word),
    "octets": ("bytea", pg_copy.octets),
    "moment": ("timestamptz", pg_copy.moment),
    "span": ("interval", pg_copy.interval),
    "address": ("inet", pg_copy.inet),
}
STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
VALUES = st.fixed_dictionaries(
    {
        "small": st.integers(-(1 << 15), (1 << 15) - 1),
        "large": st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
        "words": STORABLE,
        "word": STORABLE,
        "octets": st.binary(max_size=300),
        "moment": st.none() | st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
        "span": st.timedeltas(timedelta(days=-1000), timedelta(days=40_000)),
        "address": st.none() | st.ip_addresses().map(str),
    }
)
PLAIN = {"small": 0, "large": None, "words": "", "word": "", "octets": b"", "moment": None, "span": timedelta()}


def _compared(row):
    # An address has several texts.
    return {**row, "octets": bytes(row["octets"]), "address": row["address"] and ipaddress.ip_address(row["address"])}


@given(st.lists(VALUES, max_size=4))
@example([{**PLAIN, "address": "::ffff:192.0.2.1"}])
@example([{**PLAIN, "address": "2001:db8::7", "span": timedelta(microseconds=-1)}])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_every_value_arrives_as_it_was(db, rows):
    columns = list(ENCODERS)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS copied")
        declared = ", ".join(f"{name} {kind}" for name, (kind, _) in ENCODERS.items())
        cursor.execute(f"CREATE TEMPORARY TABLE copied ({declared}) ON COMMIT DROP")
        encoded = [
            pg_copy.width(columns) + b"".join(encode(row[name]) for name, (_, encode) in ENCODERS.items())
            for row in rows
        ]
        pg_copy.copy_in(cursor, "copied", columns, encoded)
        cursor.execute("SELECT small, large, words, word, octets, moment, span, host(address) FROM copied")
        found = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    assert [_compared(row) for row in found] == [_compared(row) for row in rows]


@given(st.dictionaries(STORABLE, STORABLE | st.integers(), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
def test_a_document_arrives_as_it_was(db, document):
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS copied")
        cursor.execute("CREATE TEMPORARY TABLE copied (document jsonb) ON COMMIT DROP")
        pg_copy.copy_in(cursor, "copied", ["document"], [pg_copy.width(["x"]) + pg_copy.jsonb(json.dumps(document))])
        cursor.execute("SELECT document::text FROM copied")
        [(found,)] = cursor.fetchall()
    assert json.loads(found) == document


def test_a_refused_value_is_an_error_of_the_database(db):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE copied (words varchar(2)) ON COMMIT DROP")
        with pytest.raises(DataError, match="too long"):
            pg_copy.copy_in(cursor, "copied", ["words"], [pg_copy.width(["words"]) + pg_copy.text("abc")])
