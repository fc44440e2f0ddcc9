"""Fixtures of the tests against real peers. Whatever stands in this folder is marked `e2e`."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.e2e.lab import LabDevice
from tests.e2e.peers import Curl, peer
from tests.e2e.running_portal import CHECKOUT, RunningPortal, running_portal
from tests.e2e.windows import QUIET

_HERE = Path(__file__).parent
_METERS_AT_A_TIME = 40
_numbers = count(1)
# Five seconds, Playwright's own, are too few where others work too.
expect.set_options(timeout=60_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def portal() -> Iterator[RunningPortal]:
    """The portal that most tests of a process share. Who breaks one starts its own."""
    # Enough devices for a cliff on the expiry map.
    with running_portal(devices=500, triggers_per_minute=36) as started:
        yield started


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Where screenshots are kept after the run."""
    directory = CHECKOUT / "test-artifacts"
    directory.mkdir(exist_ok=True)
    return directory


@pytest.fixture(scope="session")
def _unused_meters(portal: RunningPortal) -> Iterator[LabDevice]:
    def make() -> Iterator[LabDevice]:
        while True:
            yield from portal.lab_devices([f"LAB-{next(_numbers):03}" for _ in range(_METERS_AT_A_TIME)])

    return make()


@pytest.fixture
def meter(_unused_meters: Iterator[LabDevice]) -> LabDevice:
    """A device of this test's own, in the middle of its renewal window."""
    return next(_unused_meters)


@pytest.fixture
def curl(portal: RunningPortal, tmp_path: Path) -> Curl:
    return Curl(portal.root, tmp_path)


@pytest.fixture
def issued(portal: RunningPortal) -> Callable[[LabDevice], int]:
    """How many certificates a device was ever given."""
    return lambda device: portal.number(
        "SELECT count(*) FROM inventory_certificate c JOIN inventory_device d ON d.id = c.device_id "
        "WHERE d.serial = %s",
        device.serial,
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=peer("chromium"), args=QUIET)
        yield started
        started.close()
