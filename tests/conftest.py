from collections.abc import Iterator

import django.test
import pytest
from django.db import transaction

from tests import emptying, factories

# pytest-django looks the class up here for each test that commits.
django.test.TransactionTestCase = emptying.CommittingTestCase


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> None:
    with django_db_blocker.unblock():
        emptying.remember()


@pytest.fixture(scope="module")
def module_db(django_db_setup, django_db_blocker) -> Iterator[None]:
    """A transaction around all tests of a module, for rows that each of them reads and none of them makes.

    Each test's own transaction is a savepoint in it, so a test changes these rows for itself alone: it takes them
    fresh from the database. Not for a module with tests that commit.
    """
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def meter(db) -> factories.Enrolled:
    """A device in the middle of its renewal window."""
    return factories.enrolled(expires_in=30 * factories.DAY)
