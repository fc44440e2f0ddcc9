"""Scratch databases: each run has one of its own, made from one template, and none is left behind.

A run is a process of its own, with a home and keys of its own, so nothing in it can touch the portal's.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode

import psycopg
from django.conf import settings
from django.db import connection
from psycopg import sql

from renewal.simulation.fleet.scenario import Scenario

PREFIX = "certportal_simulation_"
# Whoever made a database holds this lock while it is needed: what nobody holds was left behind by a crash.
_LOCK = "SELECT pg_advisory_lock(hashtext(%s))"
_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtext(%s))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtext(%s))"
_DISCONNECT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"""
_LEFT = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
_MIGRATE = ["-m", "django", "migrate", "--verbosity", "0"]
# Seconds.
_LOOK_AGAIN = 0.1
# What psycopg and Django call alike.
_SERVER = ("host", "port", "user", "password", "sslmode", "sslrootcert", "sslcert", "sslkey")


class RunFailed(RuntimeError):
    """A run ended without a result; the text is what it said last."""


@dataclass(frozen=True)
class Order:
    """What to simulate, in how many processes. `name` stands before each line that it tells of its progress."""

    devices: int
    seed: int
    scenario: Scenario
    processes: int = 1
    name: str = ""

    def to_json(self) -> str:
        return json.dumps({**vars(self), "scenario": self.scenario.to_json()})


@dataclass(frozen=True)
class Scratch:
    """A migrated database, from which each run gets its copy."""

    template: str
    home: Path
    _server: psycopg.Connection[Any]
    _told: IO[str] | None

    def run(self, order: Order, watch: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Run one simulation in a copy; return its result (`running.as_json`). Raises RunFailed."""
        [result] = self.run_each([order], 1, watch)
        return result

    def run_each(
        self, orders: Sequence[Order], at_once: int, watch: Callable[[], None] = lambda: None
    ) -> list[dict[str, Any]]:
        """Run simulations, so many at once, each in a copy and a process; return their results. Raises RunFailed.

        `watch` is called several times a second; what it raises ends all of them.
        """
        printed: dict[int, str] = {}
        waiting = deque(enumerate(orders))
        running: dict[int, tuple[_Python, contextlib.ExitStack]] = {}
        # However it ends: each process ends first, then its database goes.
        with contextlib.ExitStack() as everything:
            while waiting or running:
                watch()
                while waiting and len(running) < at_once:
                    number, order = waiting.popleft()
                    stack = everything.enter_context(contextlib.ExitStack())
                    running[number] = stack.enter_context(self._begun(order)), stack
                for number, (python, stack) in list(running.items()):
                    if python.has_ended(_LOOK_AGAIN):
                        printed[number] = python.printed()
                        del running[number]
                        stack.close()
        return [_result(printed[number]) for number in range(len(orders))]

    @contextlib.contextmanager
    def _begun(self, order: Order) -> Iterator["_Python"]:
        with _database(self._server, self.template) as name:
            self._server.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(sql.Identifier(name)))
            with _python(name, self.home, ["-m", "renewal.simulation.fleet"], order.to_json(), self._told) as python:
                yield python


def _result(printed: str) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(printed)
    except ValueError as error:
        raise RunFailed(f"The simulation gave no result but {printed[-500:]!r}.") from error
    return result


@contextlib.contextmanager
def prepared(told: IO[str] | None = None) -> Iterator[Scratch]:
    """Make the template on the portal's server; drop it, and whatever earlier runs left behind, at the end.

    `told`: the file into which the runs tell of their progress; without one it goes to our standard error.
    """
    # Locks are of one database: those who make databases on one server meet in the one that each server has.
    server = psycopg.connect(**_server(), dbname="postgres", autocommit=True)
    with contextlib.closing(server), tempfile.TemporaryDirectory(prefix=PREFIX) as directory:
        _drop_what_was_left(server)
        with _database(server, None) as template:
            with _python(template, Path(directory), _MIGRATE, "", told) as migrating:
                migrating.process.wait()
                migrating.printed()
            yield Scratch(template, Path(directory), server, told)


@contextlib.contextmanager
def _database(server: psycopg.Connection[Any], template: str | None) -> Iterator[str]:
    name = f"{PREFIX}{os.getpid()}_{secrets.token_hex(4)}"
    server.execute(_LOCK, [name])
    try:
        create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            create += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        server.execute(create)
        yield name
    finally:
        drop(server, name)
        server.execute(_UNLOCK, [name])


def drop(server: psycopg.Connection[Any], name: str) -> None:
    """Drop a database, if there is one of that name, whoever is connected to it.

    Not by FORCE: it refuses a role that is no superuser while autovacuum is at work there, which an ordinary DROP ends.
    """
    if not server.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall():
        return
    server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
    server.execute(_DISCONNECT, [name])
    server.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def _drop_what_was_left(server: psycopg.Connection[Any]) -> None:
    for (name,) in server.execute(_LEFT, [PREFIX]).fetchall():
        [is_nobodys] = server.execute(_TRY_LOCK, [name]).fetchone() or [False]
        if is_nobodys:
            drop(server, name)
            server.execute(_UNLOCK, [name])


@dataclass(frozen=True)
class _Python:
    """A Python process, and the file that it prints to."""

    process: subprocess.Popen[str]
    output: IO[str]

    def has_ended(self, within: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(within)
        return self.process.returncode is not None

    def printed(self) -> str:
        """Return what it printed, once it has ended. Raises RunFailed."""
        if self.process.returncode:
            raise RunFailed(f"The simulation ended with code {self.process.returncode}; its last lines say why.")
        self.output.seek(0)
        return self.output.read()


@contextlib.contextmanager
def _python(database: str, home: Path, words: list[str], given: str, told: IO[str] | None) -> Iterator[_Python]:
    """Run Python on a scratch database, until it ends or the block does. What it tells goes into `told`."""
    with tempfile.TemporaryFile("w+") as order, tempfile.TemporaryFile("w+") as output:
        order.write(given)
        order.seek(0)
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, *words],
            env=environment(database, home),
            cwd=settings.BASE_DIR,
            stdin=order,
            stdout=output,
            stderr=told,
            text=True,
            # Ctrl-C is for us, who end it.
            start_new_session=True,
        )
        try:
            yield _Python(process, output)
        finally:
            # Also when we are interrupted: the database cannot go before who works in it.
            if process.poll() is None:
                # With its crew, which would wait for it for ever.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def environment(database: str, home: Path) -> dict[str, str]:
    """Return the environment of a process that works in `database` of the portal's server, with a home of its own."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "certportal.settings",
        "DATABASE_URL": _url(database),
        "CERTPORTAL_HOME": str(home),
        # No job of a simulation may reach the portal's workers.
        "REDIS_URL": f"unix://{home}/none.sock",
    }


def _server() -> dict[str, Any]:
    """Return how the portal's server is reached: whatever form the settings have, and not only its host and port."""
    own = connection.get_connection_params()
    return {key: own[key] for key in _SERVER if own.get(key)}


def _url(database: str) -> str:
    where = _server()
    who = ":".join(quote(str(where.pop(key, "")), safe="") for key in ("user", "password"))
    return f"postgres://{who}@/{database}?{urlencode(where)}"
