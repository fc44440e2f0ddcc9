"""A connection of the planes: while one greenlet waits for PostgreSQL others go on, and what it answers is the same."""

from collections.abc import Callable, Iterator

import gevent
import pytest
from django.db import connection
from psycopg import errors
from psycopg.sql import SQL

from certportal.gunicorn.database_connection import LoopConnection

pytestmark = pytest.mark.django_db

_LOCK = 7_340_033
_SECONDS = 60


@pytest.fixture
def connect() -> Iterator[Callable[[], LoopConnection]]:
    opened = []

    def one() -> LoopConnection:
        own = connection.get_connection_params()
        known = {name: own[name] for name in ("host", "port", "user", "password", "dbname") if name in own}
        opened.append(LoopConnection.connect(**known, autocommit=True))
        return opened[-1]

    yield one
    for each in opened:
        each.close()


def test_who_waits_for_another_session_lets_it_go_on(connect):
    first, second = connect(), connect()
    first.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    second.execute(SQL("SET lock_timeout = {}").format(1000 * _SECONDS))
    waiting = gevent.spawn(lambda: second.execute("SELECT pg_advisory_lock(%s), 'mine'", [_LOCK]).fetchone()[1])

    def blocked() -> bool:
        [[count]] = first.execute("SELECT count(*) FROM pg_locks WHERE objid = %s AND NOT granted", [_LOCK])
        return count > 0

    with gevent.Timeout(_SECONDS):
        while not blocked():
            gevent.sleep(0.01)
        first.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
        assert waiting.get() == "mine"


def test_much_goes_both_ways(connect):
    own = connect()
    text = "x" * (8 << 20)
    assert own.execute("SELECT %s || count(*) FROM generate_series(1, 5)", [text]).fetchone() == (text + "5",)
    own.execute("CREATE TEMPORARY TABLE copied (number integer, word text)")
    with own.cursor() as cursor:
        with cursor.copy("COPY copied FROM STDIN") as copy:
            for number in range(50_000):
                copy.write_row((number, "word"))
        with cursor.copy("COPY copied TO STDOUT") as copy:
            assert sum(1 for _ in copy.rows()) == 50_000


def test_an_error_is_the_servers_and_the_connection_serves_on(connect):
    own = connect()
    with pytest.raises(errors.DivisionByZero):
        own.execute("SELECT 1 / 0")
    assert own.execute("SELECT 1").fetchone() == (1,)


def test_a_session_that_is_ended_while_it_waits_fails(connect):
    first, second = connect(), connect()
    waiting = gevent.spawn(second.execute, "SELECT pg_sleep(3600)")
    with gevent.Timeout(_SECONDS):
        while not first.execute("SELECT pg_terminate_backend(%s)", [second.info.backend_pid]).fetchone()[0]:
            gevent.sleep(0.01)
        with pytest.raises(errors.AdminShutdown):
            waiting.get()
    assert second.closed
