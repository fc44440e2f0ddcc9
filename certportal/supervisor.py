"""The supervisor: starts children in stages, restarts those that die, and leaves none behind.

It has one thread and one loop. `Backoff` decides without a clock or a process; `Supervisor` does what it decides;
`dedicated_process` gives it signals and orphans, where the whole process is the supervisor's (`manage.py up`).
"""

import contextlib
import math
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from certportal import child_logs, launch

_POLL = 0.1
_SECONDS_BETWEEN_ROUNDS = 30.0
_SECONDS_FOR_THE_KILLED = 5.0


class Stage(IntEnum):
    """When a child starts: a stage starts when the one before it is ready, and stops before it does."""

    DATABASE = 0
    QUEUE = 1
    PLANES = 2
    WORKERS = 3


@dataclass(frozen=True)
class Child:
    """One process to keep running."""

    name: str
    stage: Stage
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path = Path("/")
    identity: launch.Identity | None = None
    prepare: Callable[[], None] | None = None
    """Called before each start."""
    is_ready: Callable[[], bool] | None = None
    """None: ready once started."""
    stop_signal: signal.Signals = signal.SIGTERM
    """Asks for an orderly end; also sent by the kernel when the supervisor itself dies."""
    stop_seconds: float = 10.0


@dataclass(frozen=True)
class Backoff:
    """How long a child that died waits for its next start."""

    first: float = 0.5
    ceiling: float = 30.0
    steady_after: float = 60.0
    """A child that ran this long is sound: its next death counts as the first."""

    def deaths_in_a_row(self, before: int, ran_for: float) -> int:
        return 1 if ran_for >= self.steady_after else before + 1

    def delay(self, deaths: int) -> float:
        # The exponent is bounded: 2 to the number of deaths of a week would not fit a float.
        return min(self.ceiling, self.first * 2.0 ** min(deaths - 1, 32))


class NotReady(launch.CannotStart):
    """A child was not ready in time; the text ends with the last lines of its log."""


class StopRequested(Exception):
    """A signal asked the supervisor to stop while it was busy starting."""


@dataclass
class _Post:
    """The place of one child, whether it runs at the moment or not."""

    child: Child
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    deaths: int = 0
    due_at: float = 0.0
    ready: bool = False
    exit_code: int | None = None
    once: bool = False


@dataclass
class Supervisor:
    """Keeps children running; `notice` receives one line for each start, death and restart."""

    log_directory: Path
    notice: Callable[[str], None]
    backoff: Backoff = Backoff()
    clock: Callable[[], float] = time.monotonic
    _posts: list[_Post] = field(default_factory=list)
    _stop_requested: bool = False
    _hurried: bool = False
    _adopts_orphans: bool = False
    _wakeup: int | None = None
    _rounds_at: float = 0.0

    def start(self, children: Sequence[Child], *, within: float) -> None:
        """Start `children` stage by stage, each stage once the one before is ready.

        Raise `NotReady` when a stage is not ready `within` seconds, `StopRequested` when asked to stop meanwhile.
        """
        for stage in sorted({child.stage for child in children}):
            posts = [_Post(child) for child in children if child.stage == stage]
            self._posts += posts
            deadline = self.clock() + within
            while waiting := [post.child for post in posts if not post.ready]:
                self._refuse_when_stopping()
                if self.clock() > deadline:
                    problems = (
                        self._with_end_of_log(child, f"{child.name} was not ready within {within:.0f} s.")
                        for child in waiting
                    )
                    raise NotReady("\n".join(problems))
                self.step(_POLL)

    def run_once(self, child: Child) -> None:
        """Run `child` to its end, its output on ours and its errors in its log, keeping the others running.

        Raise `CannotStart` when it fails, `StopRequested` when asked to stop meanwhile; `stop` then ends it too.
        """
        post = _Post(child, started_at=self.clock(), ready=True, once=True)
        with self._open_log(child) as log:
            post.process = launch.start(
                child.argv, environment=child.environment, directory=child.directory, errors=log
            )
        self._posts.append(post)
        while post.exit_code is None:
            self._refuse_when_stopping()
            self.step(_POLL)
        self._posts.remove(post)
        if post.exit_code != 0:
            raise launch.CannotStart(self._with_end_of_log(child, f"{child.name} failed."))

    def run(self) -> None:
        """Keep the children running until a stop is requested."""
        while not self._stop_requested:
            self.step(1.0)

    def step(self, timeout: float) -> None:
        """Wait for news up to `timeout` seconds, then bury the dead, start whoever is due and look who is ready."""
        now = self.clock()
        next_due = min((post.due_at for post in self._posts if post.process is None), default=now + timeout)
        self._wait(max(0.0, min(timeout, next_due - now)))
        for post in self._posts:
            if post.process is not None and _has_ended(post.process):
                self._bury(post, post.process)
            if post.process is None and not self._stop_requested and self.clock() >= post.due_at:
                self._start(post)
            if post.process is not None and not post.ready:
                post.ready = post.child.is_ready is None or post.child.is_ready()
        self._do_rounds()

    def request_stop(self) -> None:
        """Ask for a stop, from a signal handler too; asked twice, the stop does not wait for anyone."""
        self._hurried = self._stop_requested
        self._stop_requested = True

    def stop(self) -> None:
        """End every child, the last stage first, and kill whoever does not end in time or is left over."""
        self._stop_requested = True
        for stage in sorted({post.child.stage for post in self._posts}, reverse=True):
            self._stop_stage([post for post in self._posts if post.child.stage == stage])
        self._posts.clear()
        give_up_at = self.clock() + _SECONDS_FOR_THE_KILLED
        while self._kill_orphans() and self.clock() < give_up_at:
            self._wait(_POLL)

    def _stop_stage(self, posts: list[_Post]) -> None:
        running = [(post.child, post.process) for post in posts if post.process is not None]
        for child, process in running:
            _send(process, child.stop_signal)
        asked_at = self.clock()
        killed: set[str] = set()
        while waiting := [(child, process) for child, process in running if not _has_ended(process)]:
            for child, process in waiting:
                late = self._hurried or self.clock() - asked_at > child.stop_seconds
                if late and child.name not in killed:
                    killed.add(child.name)
                    _send(process, signal.SIGKILL)
                    self.notice(f"{child.name}: did not end in time, killed")
            self._wait(_POLL)
        for child, process in running:
            _kill_group_and_reap(process)
            self.notice(f"{child.name}: stopped")

    def _start(self, post: _Post) -> None:
        """Start the child; when that fails on its very first start, raise, later count it as a death."""
        child = post.child
        post.started_at = self.clock()
        try:
            if child.prepare is not None:
                child.prepare()
            with self._open_log(child) as log:
                post.process = launch.start(
                    child.argv,
                    environment=child.environment,
                    death_signal=child.stop_signal,
                    directory=child.directory,
                    identity=child.identity,
                    output=log,
                    errors=log,
                )
        except (launch.CannotStart, OSError, subprocess.SubprocessError) as problem:
            if post.deaths == 0:
                raise
            self._postpone(post, f"cannot start: {problem}")
        else:
            self.notice(f"{child.name}: started, process {post.process.pid}")

    def _bury(self, post: _Post, process: subprocess.Popen[bytes]) -> None:
        code = _kill_group_and_reap(process)
        post.process, post.ready, post.exit_code = None, False, code
        self._kill_orphans()
        if post.once:
            post.due_at = math.inf
            return
        self._postpone(post, f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}")

    def _postpone(self, post: _Post, reason: str) -> None:
        ran_for = self.clock() - post.started_at
        post.deaths = self.backoff.deaths_in_a_row(post.deaths, ran_for)
        delay = self.backoff.delay(post.deaths)
        post.due_at = self.clock() + delay
        self.notice(
            f"{post.child.name}: {reason} after {ran_for:.1f} s, starts again in {delay:.1f} s; "
            f"see {self._log_of(post.child)}"
        )

    def _kill_orphans(self) -> bool:
        """Kill what dead children left running, and tell whether there was any.

        Process groups do not reach them all: RQ's work horses and PostgreSQL's sessions have groups of their own.
        """
        if not self._adopts_orphans:
            return False
        orphans = _children_of(os.getpid()) - {post.process.pid for post in self._posts if post.process is not None}
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
        return bool(orphans)

    def _do_rounds(self) -> None:
        if self.clock() - self._rounds_at < _SECONDS_BETWEEN_ROUNDS:
            return
        self._rounds_at = self.clock()
        self._kill_orphans()
        for post in self._posts:
            child_logs.rotate_when_large(self._log_of(post.child))

    def _wait(self, timeout: float) -> None:
        if self._wakeup is None:
            time.sleep(min(timeout, _POLL))
        elif select.select([self._wakeup], [], [], timeout)[0]:
            os.read(self._wakeup, 4096)

    def _refuse_when_stopping(self) -> None:
        if self._stop_requested:
            raise StopRequested

    def _log_of(self, child: Child) -> Path:
        return self.log_directory / f"{child.name}.log"

    @contextlib.contextmanager
    def _open_log(self, child: Child) -> Iterator[int]:
        log = child_logs.open_for_append(self._log_of(child))
        try:
            yield log
        finally:
            os.close(log)

    def _with_end_of_log(self, child: Child, problem: str) -> str:
        return "\n  ".join([f"{problem} Its log ends:", *child_logs.last_lines(self._log_of(child), 5)])


@contextlib.contextmanager
def dedicated_process(supervisor: Supervisor) -> Iterator[None]:
    """Give this whole process to `supervisor`: its signals, its orphans; end all children on the way out."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    supervisor._wakeup = read_end
    supervisor._adopts_orphans = True
    launch.adopt_orphans()
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    # A handler of its own makes the death of a child wake the loop.
    signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, lambda _signal, _frame: supervisor.request_stop())
    try:
        yield
    finally:
        supervisor.stop()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether the child is dead, leaving it unreaped so that its process group cannot be another's yet."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # Not Popen.send_signal: it reaps a child that has just died, and others still count on finding it.
    os.kill(process.pid, number)


def _kill_group_and_reap(process: subprocess.Popen[bytes]) -> int:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _children_of(parent: int) -> set[int]:
    children = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # The name, in parentheses, may itself hold spaces and parentheses: count from its end.
            after_name = status.read_text().rpartition(")")[2].split()
            if int(after_name[1]) == parent:
                children.add(int(status.parent.name))
    return children
