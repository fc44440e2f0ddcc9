"""The supervisor on real processes: it starts in order, restarts with back-off and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from certportal.launch import CannotStart
from certportal.supervisor import Backoff, Child, NotReady, Stage, Supervisor

_CHECKOUT = Path(__file__).resolve().parents[2]


def _child(name: str, script: str, stage: Stage = Stage.WORKERS, **options: object) -> Child:
    return Child(name, stage, ("/bin/sh", "-c", script), {"PATH": os.defpath}, **options)


def _until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def _is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path, notices):
    made = Supervisor(tmp_path, notices.append, Backoff(first=0.05, ceiling=0.2, steady_after=60))
    yield made
    made.stop()


class TestBackoff:
    def test_it_doubles_up_to_its_ceiling(self):
        backoff = Backoff(first=0.5, ceiling=30.0)
        assert [backoff.delay(deaths) for deaths in (1, 2, 3, 7, 8, 10_000)] == [0.5, 1.0, 2.0, 30.0, 30.0, 30.0]

    @pytest.mark.parametrize(("ran_for", "expected"), [(59.9, 5), (60.0, 1)])
    def test_a_child_that_ran_a_while_starts_anew(self, ran_for, expected):
        assert Backoff(steady_after=60.0).deaths_in_a_row(before=4, ran_for=ran_for) == expected


def test_a_stage_waits_for_the_one_before_to_be_ready(supervisor, tmp_path, notices):
    flag = tmp_path / "ready"
    store = _child("store", f"sleep 0.2; touch {flag}; exec sleep 600", Stage.DATABASE, is_ready=flag.exists)
    worker = _child("worker", f"test -e {flag} && touch {flag}.seen; exec sleep 600")
    supervisor.start([worker, store], within=60)
    assert _until(Path(f"{flag}.seen").exists)
    assert [line.split(":")[0] for line in notices] == ["store", "worker"]


def test_a_store_that_never_gets_ready_fails_with_the_end_of_its_log(supervisor):
    child = _child("store", "echo no space left on device; exec sleep 600", Stage.DATABASE, is_ready=lambda: False)
    with pytest.raises(NotReady, match=r"store was not ready within 0 s.*\n.*no space left on device"):
        supervisor.start([child], within=0.3)


def test_a_child_that_cannot_even_be_prepared_fails_the_start(supervisor):
    def refuse() -> None:
        raise CannotStart("no such cluster")

    with pytest.raises(CannotStart, match="no such cluster"):
        supervisor.start([_child("store", "exec sleep 600", prepare=refuse)], within=1)


def test_set_up_speaks_to_the_console_and_logs_its_errors(supervisor, tmp_path, capfd):
    supervisor.run_once(_child("set-up", "echo making things; echo detail >&2"))
    assert capfd.readouterr() == ("making things\n", "")
    assert (tmp_path / "set-up.log").read_text() == "detail\n"


def test_a_set_up_that_fails_says_how(supervisor):
    with pytest.raises(CannotStart, match=r"set-up failed. Its log ends:\n  no space"):
        supervisor.run_once(_child("set-up", "echo no space >&2; exit 1"))


def test_a_child_that_dies_is_started_again_and_each_time_later(supervisor, tmp_path, notices):
    supervisor.start([_child("worker", f"echo x >> {tmp_path}/starts; exit 3")], within=60)
    _until(lambda: supervisor.step(0.05) or len((tmp_path / "starts").read_text().split()) >= 4)
    deaths = [line for line in notices if "ended with code 3" in line]
    assert [line.partition("starts again in ")[2][:3] for line in deaths[:3]] == ["0.1", "0.1", "0.2"]


def test_a_killed_child_comes_back_under_a_new_process(supervisor, notices):
    supervisor.start([_child("worker", "exec sleep 600")], within=60)
    first = int(notices[0].split()[-1])
    os.kill(first, signal.SIGKILL)
    assert _until(lambda: supervisor.step(0.05) or (len(notices) == 3 and "started" in notices[2]))
    assert "ended by SIGKILL" in notices[1]
    assert int(notices[-1].split()[-1]) != first


def test_stop_ends_the_last_stage_first(supervisor, notices):
    stages = (Stage.DATABASE, Stage.QUEUE, Stage.WORKERS)
    supervisor.start([_child(stage.name, "exec sleep 600", stage) for stage in stages], within=60)
    supervisor.stop()
    assert notices[3:] == ["WORKERS: stopped", "QUEUE: stopped", "DATABASE: stopped"]


def test_a_child_that_ignores_the_request_to_stop_is_killed_with_its_group(supervisor, notices, tmp_path):
    script = f"trap '' TERM; sleep 601 & echo $! > {tmp_path}/grandchild; while :; do sleep 0.1; done"
    supervisor.start([_child("worker", script, stop_seconds=0.3)], within=60)
    assert _until(lambda: (tmp_path / "grandchild").exists() and (tmp_path / "grandchild").read_text() != "")
    supervisor.stop()
    assert "worker: did not end in time, killed" in notices
    assert _until(lambda: not _is_alive(int((tmp_path / "grandchild").read_text())))


def test_a_child_that_died_unseen_does_not_disturb_the_stop(supervisor, notices):
    supervisor.start([_child("worker", "exec sleep 600")], within=60)
    pid = int(notices[0].split()[-1])
    os.kill(pid, signal.SIGKILL)
    assert _until(lambda: not _is_alive(pid))
    supervisor.stop()
    assert notices[-1] == "worker: stopped"


def test_output_of_children_is_in_their_log_alone(supervisor, tmp_path):
    supervisor.start([_child("worker", "echo out; echo err >&2; exec sleep 600")], within=60)
    log = tmp_path / "worker.log"
    assert _until(lambda: log.read_text() == "out\nerr\n")
    assert log.stat().st_mode & 0o777 == 0o600


_SUPERVISING = """
import os, sys
from pathlib import Path
from certportal.supervisor import Child, Stage, Supervisor, dedicated_process

at = Path(sys.argv[1])
# One child in the foreground, and one process that leaves its group, as RQ's work horses do.
script = "setsid sleep 602 & echo $! > " + str(at / "escaped") + "; exec sleep 603"
supervisor = Supervisor(at, lambda line: print(line, flush=True))
with dedicated_process(supervisor):
    supervisor.start([Child("worker", Stage.WORKERS, ("/bin/sh", "-c", script), {"PATH": os.defpath})], within=60)
    supervisor.run()
"""


@pytest.fixture
def supervising(tmp_path):
    command = (sys.executable, "-c", _SUPERVISING, str(tmp_path))
    with subprocess.Popen(command, cwd=_CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline().split()[-1])
        assert _until(lambda: (tmp_path / "escaped").exists() and (tmp_path / "escaped").read_text() != "")
        yield process, child, int((tmp_path / "escaped").read_text())
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_even_what_left_its_group(supervising, number):
    process, child, escaped = supervising
    process.send_signal(number)
    assert process.wait(60) == 0
    assert not _is_alive(child)
    assert not _is_alive(escaped)


def test_what_a_dead_child_left_running_is_killed_before_it_starts_again(supervising):
    process, child, escaped = supervising
    os.kill(child, signal.SIGKILL)
    assert _until(lambda: not _is_alive(escaped))
    assert process.poll() is None


def test_a_killed_supervisor_leaves_no_child(supervising):
    process, child, escaped = supervising
    process.kill()
    assert _until(lambda: not _is_alive(child))
    # Nobody is left to know of it; the real ones, RQ's, are ended by their own worker.
    os.kill(escaped, signal.SIGKILL)
