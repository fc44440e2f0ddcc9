"""Each whole line of a log is read at least once, whatever happens to the file and to its reader."""

import json
import os

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.models import AuditAction, AuditEvent, CertificateState, Device
from inventory.sightings.tailing import LogTail, state_file
from tests.factories import enrolled


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "gateway.log"
    file.touch()
    return file


@pytest.fixture
def state(tmp_path):
    return state_file(tmp_path, tmp_path / "gateway.log")


def add(path, *lines, end="\n"):
    with path.open("a") as file:
        file.write("\n".join(lines) + end)


def read_all(tail):
    found = []
    while True:
        found += tail.read()
        if tail.drained:
            return found


def test_a_line_waits_for_its_end(path, state):
    tail = LogTail(path, state)
    add(path, "one", "tw", end="")
    assert read_all(tail) == ["one"]
    add(path, "o")
    assert read_all(tail) == ["two"]


def test_a_restart_goes_on_behind_what_was_kept(path, state):
    add(path, "one", "two")
    tail = LogTail(path, state)
    assert read_all(tail) == ["one", "two"]
    tail.keep()
    add(path, "three")
    assert read_all(tail) == ["three"]
    # Killed before the position was kept.
    assert read_all(LogTail(path, state)) == ["three"]


def test_a_log_is_read_to_its_end_after_it_was_renamed_and_then_the_new_one(path, state):
    tail = LogTail(path, state)
    add(path, "one")
    old = path.rename(path.with_name("gateway.log.1"))
    add(path, "three")
    add(old, "two")
    assert read_all(tail) == ["one", "two", "three"]
    tail.keep()
    assert tail.drained
    assert read_all(LogTail(path, state)) == []


def test_what_was_written_before_two_rotations_while_nobody_read_is_found(path, state):
    add(path, "one")
    tail = LogTail(path, state)
    read_all(tail)
    tail.keep()
    add(path, "two")
    path.rename(path.with_name("gateway.log.2"))
    add(path, "three")
    path.rename(path.with_name("gateway.log.1"))
    add(path, "four")
    path.with_name("gateway.log.3.gz").write_bytes(b"compressed")
    assert read_all(LogTail(path, state)) == ["two", "three", "four"]


def test_a_truncated_log_is_read_from_its_beginning(path, state):
    add(path, "a long line")
    tail = LogTail(path, state)
    assert read_all(tail) == ["a long line"]
    path.write_text("")
    assert read_all(tail) == []
    add(path, "new")
    assert read_all(tail) == ["new"]


def test_a_log_that_was_truncated_and_grew_while_nobody_read_is_read_whole(path, state):
    add(path, "one")
    tail = LogTail(path, state)
    read_all(tail)
    tail.keep()
    path.write_text("another\nand more\n")
    assert read_all(LogTail(path, state)) == ["another", "and more"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"inode": 1}'])
def test_a_position_that_cannot_be_read_costs_reading_the_log_again(path, state, content):
    state.write_text(content)
    add(path, "one")
    assert read_all(LogTail(path, state)) == ["one"]


def test_a_line_without_end_fills_no_memory(path, state):
    tail = LogTail(path, state)
    with path.open("a") as file:
        file.write("x" * 3_000_000 + "\nnext\n")
    assert max(map(len, lines := read_all(tail))) <= 1 << 20
    assert lines[-1] == "next"


STEPS = st.lists(st.sampled_from(["write", "read", "keep", "restart", "rotate"]), max_size=25)


@given(STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_line_is_lost(tmp_path_factory, steps):
    room = tmp_path_factory.mktemp("log")
    path, state = room / "gateway.log", room / "state.json"
    path.touch()
    os.utime(path, (0, 0))
    tail, written, found, generation = LogTail(path, state), 0, set(), 0
    tail.keep()
    for moment, step in enumerate([*steps, "read"], start=1):
        match step:
            case "write":
                written += 1
                add(path, f"line {written}")
                # Logs are rotated seconds apart.
                os.utime(path, (moment, moment))
            case "read":
                found.update(read_all(tail))
            case "keep":
                tail.keep()
            case "restart":
                tail.close()
                tail = LogTail(path, state)
            case "rotate":
                generation += 1
                path.rename(path.with_name(f"gateway.log.{generation}"))
                path.touch()
                os.utime(path, (moment, moment))
    tail.close()
    assert found == {f"line {number}" for number in range(1, written + 1)}


def test_the_command_notes_what_the_log_of_nginx_says_and_goes_on_behind_it(db, path):
    now = timezone.now().replace(microsecond=250_000)
    meter = enrolled(now=now, used=False)
    line = {
        "msec": f"{now.timestamp():.3f}",
        "verify": "SUCCESS",
        "issuer": meter.certificate.authority.certificate.subject,
        "serial": meter.certificate.serial.upper(),
    }
    add(path, "garbage", json.dumps(line))
    for _ in range(2):
        call_command("tail_sightings", str(path), format="nginx", once=True)
        meter.certificate.refresh_from_db()
        assert (meter.certificate.state, meter.certificate.activated_at) == (CertificateState.CONFIRMED, now)
        assert Device.objects.get(pk=meter.device.pk).last_seen_at == now
    [event] = AuditEvent.objects.filter(action=AuditAction.CERTIFICATE_CONFIRMED, certificate=meter.certificate)
    assert event.actor == f"tail_sightings {path}"


def test_the_command_says_what_it_lacks(db, path):
    with pytest.raises(CommandError, match="give their fleet"):
        call_command("tail_sightings", str(path), format="mosquitto")
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("tail_sightings", str(path.with_name("none.log")), format="nginx")
