import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import django.test
import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings

from renewal.protocols.directory import directory
from tests import emptying, factories

# How long an example takes is no property of ours, and differs on a busy machine.
settings.register_profile("certportal", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("certportal")

# As the database of a test run: what is lost with the machine is made anew. A disk takes milliseconds for each key.
os.fsync = lambda fd: None

# pytest-django looks the class up here for each test that commits.
django.test.TransactionTestCase = emptying.CommittingTestCase


# Seconds that a file takes which is marked `long`, unless its mark says more.
_LONG = 20

# The collector of cycles would walk through all of Django and thousands of collected tests again and again.
gc.set_threshold(100_000, 20, 100)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first: each is one worker's, and the short ones fill up what is left of the run."""
    items.sort(key=_seconds, reverse=True)


def _seconds(item: pytest.Item) -> int:
    """Return how long the file of `item` takes, as its mark says; 0 for a short one."""
    marker = item.get_closest_marker("long")
    return 0 if marker is None else int(marker.args[0]) if marker.args else _LONG


def pytest_collection_finish() -> None:
    """Let the collector look at what tests leave alone."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> None:
    with django_db_blocker.unblock():
        emptying.remember()


@contextmanager
def _transaction_around(django_db_blocker) -> Iterator[None]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture(scope="class")
def class_db(django_db_setup, django_db_blocker) -> Iterator[None]:
    """A transaction around the tests of a class, for rows that are dear to make and that each of these tests reads.

    A test's own transaction is a savepoint in it, so what a test changes is as it was for the next one. Objects in
    memory are not: take them from the database. No test that commits may stand in such a class.
    """
    with _transaction_around(django_db_blocker):
        yield


@pytest.fixture(scope="module")
def module_db(django_db_setup, django_db_blocker) -> Iterator[None]:
    """As `class_db`, around the tests of a module."""
    with _transaction_around(django_db_blocker):
        yield


@pytest.fixture(autouse=True)
def _begin_as_a_new_process():
    """Let no test answer devices from what the one before had in its database."""
    directory.forget()


@pytest.fixture
def meter(db) -> factories.Enrolled:
    """A device in the middle of its renewal window."""
    return factories.enrolled(expires_in=30 * factories.DAY)


def pytest_terminal_summary(terminalreporter):
    """Print what tests counted, from whichever process: how much a generated test covers is part of its result."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in getattr(report, "user_properties", ()):
            if name == "counted" and report.when == "call":
                terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {value}")
