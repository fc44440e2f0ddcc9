import pytest

from renewal.protocols import est
from tests import factories


@pytest.fixture(autouse=True)
def _begin_as_a_new_process():
    """Let no test answer devices from what the one before had in its database."""
    est.directory.forget()


@pytest.fixture
def meter(db) -> factories.Enrolled:
    """A device in the middle of its renewal window."""
    return factories.enrolled(expires_in=30 * factories.DAY)
