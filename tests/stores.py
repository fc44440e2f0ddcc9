"""The stores of a test run: a real PostgreSQL and a real Valkey, started once and stopped at the end.

Loaded by `-p tests.stores`, before Django reads its settings. `DATABASE_URL` and `REDIS_URL` in the environment
replace the embedded servers. Under pytest-xdist the controller starts them and each worker takes a database of its own
in both. The home is `var/test` in the checkout, whose cluster the next run finds again.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from certportal import home, launch
from certportal.embedded import postgres, stores, valkey
from certportal.supervisor import Child, NotReady, Supervisor

_VAR = Path(__file__).resolve().parent.parent / "var"
_HOMES = [_VAR / name for name in ("test", "test-2", "test-3", "test-4")]
_KEPT = {"postgres", "postgres-password", "log", "run", "supervisor.lock"}
_VALKEY_DATABASES = 16

_run = contextlib.ExitStack()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, object, object]:
    """Choose home and databases: a wrapper runs before pytest-django, which reads the settings in this hook."""
    _keep_bytecode()
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        _take_valkey_database(1 + int(worker.removeprefix("gw")))
        _take_home_of_worker(worker)
    else:
        _take_home()
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    if os.environ.get("PYTEST_XDIST_WORKER") or session.config.option.collectonly:
        return
    try:
        _start_stores(Path(os.environ["CERTPORTAL_HOME"]))
    except launch.CannotStart as problem:
        pytest.exit(f"The stores of the test run did not start. {problem}", returncode=pytest.ExitCode.INTERNAL_ERROR)


def pytest_unconfigure() -> None:
    _run.close()


def _keep_bytecode() -> None:
    """Compile each module once for all runs, also where the environment forbids it, as images of containers do.

    Each of the many processes that tests start would compile the whole portal, and each worker rewrite every test.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def _take_home() -> None:
    """Hold a home of this run's own and empty it, but for the cluster, which takes seconds to make."""
    for candidate in _HOMES:
        home.prepare(candidate)
        try:
            _run.enter_context(home.held(candidate))
        except home.HomeRefused:
            continue
        for entry in candidate.iterdir():
            if entry.is_dir() and entry.name not in _KEPT:
                shutil.rmtree(entry)
            elif entry.name not in _KEPT:
                entry.unlink()
        os.environ["CERTPORTAL_HOME"] = str(candidate)
        return
    raise pytest.UsageError(f"Other test runs hold every test home: {', '.join(map(str, _HOMES))}")


def _take_valkey_database(number: int) -> None:
    url = os.environ.get("REDIS_URL") or valkey.url(Path(os.environ["CERTPORTAL_HOME"]))
    os.environ["REDIS_URL"] = f"{url.partition('?')[0]}?db={number % _VALKEY_DATABASES}"


def _take_home_of_worker(worker: str) -> None:
    """Give a worker a home of its own, for keys and CRLs, beside the stores that it shares."""
    shared = Path(os.environ["CERTPORTAL_HOME"])
    if not os.environ.get("DATABASE_URL"):
        database = postgres.django_database(shared)
        who = f"{database['USER']}:{database['PASSWORD']}"
        os.environ["DATABASE_URL"] = f"postgres://{who}@/{database['NAME']}?host={database['HOST']}"
    os.environ["CERTPORTAL_HOME"] = str(shared / worker)


def _start_stores(at: Path) -> None:
    children = []
    if not os.environ.get("DATABASE_URL"):
        children.append(stores.postgres_child(at, postgres.FORGETFUL))
    if not os.environ.get("REDIS_URL"):
        children.append(stores.valkey_child(at))
    try:
        _start(children, at)
    except NotReady:
        # A cluster that forgets does not survive a crash of the machine.
        shutil.rmtree(at / "postgres", ignore_errors=True)
        _start(children, at)


def _start(children: list[Child], at: Path) -> None:
    supervisor = Supervisor(log_directory=at / "log", notice=lambda _line: None)
    with contextlib.ExitStack() as undo:
        undo.callback(supervisor.stop)
        supervisor.start(children, within=60)
        _run.push(undo.pop_all())
