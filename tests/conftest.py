import pytest

from tests import factories


@pytest.fixture
def meter(db) -> factories.Enrolled:
    """A device in the middle of its renewal window."""
    return factories.enrolled(expires_in=30 * factories.DAY)
