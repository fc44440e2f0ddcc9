"""`kill -9` of all that the supervisor started, in turn, and a full disk, while a campaign runs under load.

It comes back, nothing doubles, and in the end every invariant holds.
"""

import http.client
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import requests

from tests.e2e.fleet_facts import assert_flash_is_in_the_inventory, assert_sound, confirmed, targets
from tests.e2e.running_portal import RunningPortal, processes_of, running_portal, until
from tests.e2e.tls_session import ask, client_context, connect

pytestmark = pytest.mark.long(560)
CHILDREN = [
    "postgres",
    "valkey",
    "portal",
    "device",
    "status",
    "demo-broker",
    "worker-1",
    "worker-2",
    "worker-bulk",
    "cron",
    "receipts",
    "demo-devices",
]


# Whatever is waited for happens within seconds: that it happens is the rule, and a slow machine is no fault.
_SECONDS = 120


@pytest.fixture(scope="module")
def fragile() -> Iterator[RunningPortal]:
    """A portal that may be broken, with a campaign slow enough to run through all of it."""
    with running_portal(devices=260, triggers_per_minute=24) as portal, under_load(portal):
        yield portal


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in tasks.read_text().split()]


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def answers(portal: RunningPortal) -> bool:
    """Tell whether all three planes and the database answer now."""
    with suppress(OSError, psycopg.OperationalError):
        # Anew: sessions of a server that was killed may answer once more.
        portal.rows("SELECT 1")
        for url in (f"{portal.portal_url}/readyz", f"{portal.status_url}/crl/mfg-1/0.crl"):
            if requests.get(url, timeout=3).status_code != 200:
                return False
        with connect(portal, client_context(portal)) as connection:
            return ask(connection, "GET", "/.well-known/est/demo/cacerts").status == 200
    return False


@contextmanager
def under_load(portal: RunningPortal) -> Iterator[None]:
    """Ask all planes all the time, by two clients that mind no failure; the demo's devices renew beside them.

    Each rests as long as its last answers took: at any moment about one of the two asks, and what was killed finds a
    processor to come back on, however slow the machine is.
    """
    over = threading.Event()

    def ask_on() -> None:
        taken = 0.0
        while not over.wait(taken):
            begun = time.monotonic()
            # What is killed under a client breaks off wherever it is.
            with suppress(requests.RequestException, http.client.HTTPException):
                answers(portal)
            taken = time.monotonic() - begun

    clients = [threading.Thread(target=ask_on, daemon=True) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        over.set()
        for client in clients:
            client.join(30)


def assert_the_campaign_goes_on(portal: RunningPortal, size: int) -> None:
    done = confirmed(portal)
    until(lambda: confirmed(portal) > done, seconds=_SECONDS, what="The next confirmed renewal")
    assert sum(targets(portal).values()) == size
    assert_sound(portal)
    assert_flash_is_in_the_inventory(portal)


@pytest.fixture(scope="module")
def size(fragile) -> int:
    until(lambda: confirmed(fragile) > 0, seconds=_SECONDS, what="The first confirmed renewal")
    return sum(targets(fragile).values())


@pytest.mark.parametrize("name", CHILDREN)
def test_a_killed_child_comes_back_and_the_campaign_goes_on(fragile, size, name):
    before = fragile.children()[name]
    os.kill(before, signal.SIGKILL)
    until(lambda: fragile.children()[name] != before, seconds=_SECONDS, what=f"The return of {name}")
    until(lambda: answers(fragile), seconds=_SECONDS, what="An answer of every plane")
    # What it started itself is gone with it.
    assert not is_alive(before)
    assert_the_campaign_goes_on(fragile, size)


def test_every_child_is_in_the_list_above(fragile):
    assert sorted(fragile.children()) == sorted(CHILDREN)


@pytest.mark.parametrize("name", ["portal", "device", "status"])
def test_a_killed_worker_of_a_plane_is_replaced_by_its_master(fragile, size, name):
    master = fragile.children()[name]
    workers = children_of(master)
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    until(
        lambda: len(set(children_of(master)) - set(workers)) == len(workers) and answers(fragile),
        seconds=_SECONDS,
        what=f"The return of the workers of {name}",
    )
    assert fragile.children()[name] == master
    assert_the_campaign_goes_on(fragile, size)


def test_a_killed_database_session_costs_one_request_at_most(fragile, size):
    sessions = children_of(fragile.children()["postgres"])
    # One backend's death makes PostgreSQL end all of them and recover.
    os.kill(sessions[-1], signal.SIGKILL)
    until(lambda: answers(fragile), seconds=_SECONDS, what="An answer of every plane")
    assert_the_campaign_goes_on(fragile, size)


def test_ctrl_c_and_a_second_start_keep_everything_and_leave_no_process(fragile, size):
    done = confirmed(fragile)
    certificates = fragile.number("SELECT count(*) FROM inventory_certificate WHERE device_id IS NOT NULL")
    fragile.stop()
    assert processes_of(fragile.home) == {}
    fragile.start()
    assert confirmed(fragile) >= done
    assert fragile.number("SELECT count(*) FROM inventory_certificate WHERE device_id IS NOT NULL") >= certificates
    assert fragile.number("SELECT count(*) FROM inventory_fleet") == 1
    assert "password as set by CERTPORTAL_ADMIN_PASSWORD" in fragile.output.read_text()
    assert_the_campaign_goes_on(fragile, size)


def test_a_killed_supervisor_leaves_no_process_and_the_next_start_continues(fragile, size):
    os.kill(fragile.supervisor, signal.SIGKILL)
    until(lambda: processes_of(fragile.home) == {}, seconds=_SECONDS, what="The end of every process")
    fragile.start()
    assert_the_campaign_goes_on(fragile, size)


def test_a_revocation_outlives_the_death_of_whoever_publishes_it(fragile, size):
    devices = fragile.lab_devices([f"FAULT-{number}" for number in range(3)])
    for device, killed in zip(devices, ["worker-1", "valkey", "postgres"], strict=True):
        fragile.revoke(device)
        os.kill(fragile.children()[killed], signal.SIGKILL)
        until(lambda: answers(fragile), seconds=_SECONDS, what="An answer of every plane")
    until(
        lambda: fragile.number("SELECT count(*) FROM revocation_publicationrequest") == 0,
        seconds=_SECONDS,
        what="The publication of every revocation",
    )


def test_a_second_supervisor_on_the_same_home_is_refused(fragile):
    refused = fragile.manage("up", code=1)
    assert "running" not in refused
    assert answers(fragile)


def test_the_doctor_finds_nothing_in_the_end(fragile):
    give_up_at = time.monotonic() + _SECONDS
    while True:
        try:
            assert fragile.manage("doctor")
            return
        except AssertionError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(2)


def test_every_invariant_holds_in_the_end(fragile):
    assert "invariants hold" in fragile.manage("verify_invariants")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives the portal a small disk")
def test_a_full_disk_loses_nothing_and_the_portal_goes_on_once_there_is_room():
    with running_portal(devices=40, triggers_per_minute=12, disk_megabytes=700) as portal, under_load(portal):
        until(lambda: confirmed(portal) > 0, seconds=_SECONDS, what="The first confirmed renewal")
        size = sum(targets(portal).values())
        ballast = portal.home / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as stream:
            while True:
                stream.write(bytes(1 << 20))
        # Long enough for campaigns, CRLs, logs and both stores to want room.
        give_up_at = time.monotonic() + 20
        while time.monotonic() < give_up_at:
            with suppress(requests.RequestException):
                answers(portal)
        ballast.unlink()
        until(lambda: answers(portal), seconds=_SECONDS, what="An answer of every plane")
        until(lambda: confirmed(portal) > 0, seconds=_SECONDS, what="An answer of the database")
        assert sum(targets(portal).values()) == size
        assert_sound(portal)
        assert_flash_is_in_the_inventory(portal)
        assert "invariants hold" in portal.manage("verify_invariants")
