"""Scratch databases: each run has one of its own, made from one template, and none is left behind.

A run is a process of its own, with a home and keys of its own, so nothing in it can touch the portal's.
"""

import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
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
_LEFT = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
# What psycopg and Django call alike.
_SERVER = ("host", "port", "user", "password", "sslmode", "sslrootcert", "sslcert", "sslkey")


class RunFailed(RuntimeError):
    """A run ended without a result; the text is what it said last."""


@dataclass(frozen=True)
class Scratch:
    """A migrated database, from which each run gets its copy."""

    template: str
    home: Path
    _server: psycopg.Connection[Any]

    def run(self, devices: int, seed: int, scenario: Scenario) -> dict[str, Any]:
        """Run one simulation in a copy; return its result (`running.as_json`). Raises RunFailed."""
        order = {"devices": devices, "seed": seed, "scenario": scenario.to_json()}
        with _database(self._server, self.template) as name:
            self._server.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(sql.Identifier(name)))
            ran = _python(name, self.home, ["-m", "renewal.simulation.fleet"], json.dumps(order))
        try:
            result: dict[str, Any] = json.loads(ran)
        except ValueError as error:
            raise RunFailed(f"The simulation gave no result but {ran[-500:]!r}.") from error
        return result


@contextlib.contextmanager
def prepared() -> Iterator[Scratch]:
    """Make the template on the portal's server; drop it, and whatever earlier runs left behind, at the end."""
    # Locks are of one database: those who make databases on one server meet in the one that each server has.
    server = psycopg.connect(**_server(), dbname="postgres", autocommit=True)
    with contextlib.closing(server), tempfile.TemporaryDirectory(prefix=PREFIX) as directory:
        _drop_what_was_left(server)
        with _database(server, None) as template:
            _python(template, Path(directory), ["-m", "django", "migrate", "--verbosity", "0"], "")
            yield Scratch(template, Path(directory), server)


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
        _drop(server, name)
        server.execute(_UNLOCK, [name])


def _drop(server: psycopg.Connection[Any], name: str) -> None:
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _drop_what_was_left(server: psycopg.Connection[Any]) -> None:
    for (name,) in server.execute(_LEFT, [PREFIX]).fetchall():
        [is_nobodys] = server.execute(_TRY_LOCK, [name]).fetchone() or [False]
        if is_nobodys:
            _drop(server, name)
            server.execute(_UNLOCK, [name])


def _python(database: str, home: Path, words: list[str], given: str) -> str:
    """Run Python on a scratch database; what it says goes to our own standard error. Return what it printed."""
    process = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, *words],
        env=environment(database, home),
        cwd=settings.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for us, who end it.
        start_new_session=True,
    )
    try:
        printed, _ = process.communicate(given)
    finally:
        # Also when we are interrupted: the database cannot go before who works in it.
        process.kill()
        process.wait()
    if process.returncode:
        raise RunFailed(f"The simulation ended with code {process.returncode}; its last lines say why.")
    return printed


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
