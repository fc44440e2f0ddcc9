import pytest

from tests import factories


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
