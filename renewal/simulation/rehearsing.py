"""Rehearsals: asked for by people, done by a worker, one at a time, each in a scratch database of its own."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

import django_rq
import psycopg
from django.db import Error as DatabaseTrouble
from django.db import transaction

from inventory import session_locks
from inventory.audit.record import Actor
from inventory.models import FleetIds
from renewal.models import Rehearsal, RehearsalState
from renewal.models.rehearsal import UNFINISHED
from renewal.simulation.fleet import model, scenario, scratch
from renewal.simulation.fleet.model import ModelRefused
from renewal.simulation.fleet.scenario import Scenario
from renewal.simulation.fleet.scratch import Order, RunFailed

QUEUE = "bulk"
FEWEST_METERS, MOST_METERS = 50, 20_000
KEPT = 100
LONGEST = timedelta(hours=1)
MOST_WAITING = 10
# Who died in the midst of one, for want of memory perhaps, is not started for ever.
MOST_ATTEMPTS = 2
_MAY_BE_QUIET = timedelta(minutes=10)
_JOB = "renewal.jobs.rehearse"
_FAILURES_KEPT_SECONDS = 24 * 3600
_LOCK = session_locks.key_of("certportal rehearsals")
# Of these the largest says how long a meter takes: in small ones the ticks cost more than the meters.
_LATEST = 20
# Beside the seconds that a simulation tells of: what it took to prove the model and to make the databases.
_PREPARING = "preparing"

Clock = Callable[[], datetime]


class NotAsked(ValueError):
    """No more rehearsals are taken; the text says why."""


class TookTooLong(RunFailed):
    """A rehearsal was ended because it took longer than `LONGEST`."""


@dataclass(frozen=True)
class Difference:
    """A number in which a scenario differs from another, and what it is in the two."""

    name: str
    there: float
    here: float


def ask(order: Order, *, fleets: FleetIds, now: datetime, actor: Actor) -> Rehearsal:
    """Write down a rehearsal, wake a worker after the commit, and forget the oldest. Raises NotAsked.

    `fleets`: those of who asks; only their people see it.
    """
    with transaction.atomic():
        if Rehearsal.objects.filter(state__in=UNFINISHED).count() >= MOST_WAITING:
            raise NotAsked(f"{MOST_WAITING} runs have not ended yet; ask again when the first of them has.")
        run = Rehearsal.objects.create(
            fleets=fleets,
            asked_by=actor.name[:150],
            asked_at=now,
            worked_at=now,
            devices=order.devices,
            seed=order.seed,
            scenario=order.scenario.to_json(),
        )
        kept = Rehearsal.objects.order_by("-pk").values("pk")[:KEPT]
        Rehearsal.objects.exclude(state__in=UNFINISHED).exclude(pk__in=kept).delete()
        # Robust: the sweep finds the run, whether or not the queue can be reached.
        transaction.on_commit(enqueue, robust=True)
    return run


def enqueue() -> None:
    """Put a job into the queue, which does the oldest rehearsal that has not ended."""
    queue = django_rq.get_queue(QUEUE, commit_mode="auto")
    queue.enqueue(_JOB, description="rehearse", result_ttl=0, failure_ttl=_FAILURES_KEPT_SECONDS)


def enqueue_lost() -> None:
    """Put a job into the queue if a rehearsal waits and its job was lost. One that waits there is not lost."""
    if not django_rq.get_queue(QUEUE).count and _left_alone():
        enqueue()


def _left_alone() -> Rehearsal | None:
    """Return the oldest rehearsal that has not ended, if no process works on any."""
    oldest = _oldest()
    with session_locks.held(_LOCK) as free:
        return oldest if free else None


def _oldest() -> Rehearsal | None:
    return Rehearsal.objects.filter(state__in=UNFINISHED).order_by("pk").first()


def stuck(now: datetime) -> Rehearsal | None:
    """Return the rehearsal that should be done and has made no progress for minutes, if no process works on any."""
    oldest = _left_alone()
    return oldest if oldest and oldest.worked_at < now - _MAY_BE_QUIET else None


def work(clock: Clock) -> Rehearsal | None:
    """Do the oldest rehearsal that has not ended, and return it; None if there is none, or another process does one.

    However it ends, the row has a state and a reason, unless the process is killed or the database is gone: the next
    one to work takes it up again.
    """
    with session_locks.held(_LOCK) as alone:
        run = _oldest() if alone else None
        if run is None:
            return None
        if run.attempts >= MOST_ATTEMPTS:
            _fail(run, f"It was taken up {run.attempts} times, and each time its process was killed.", clock())
            return run
        run.state, run.progress, run.worked_at = RehearsalState.RUNNING, "", clock()
        run.attempts += 1
        run.save(update_fields=["state", "progress", "worked_at", "attempts"])
        try:
            run.result = _simulated(run, clock)
        except (ModelRefused, RunFailed, OSError) as error:
            _fail(run, str(error), clock())
        except psycopg.Error as error:
            # Of the connection that makes scratch databases.
            _fail(run, f"{error} The portal's role in the database must be one that may create databases.", clock())
        except BaseException as error:
            # A fault of the program, or its end. It goes on to whoever logs it. Nothing narrower is caught, since a
            # rehearsal always ends in a state with its reason.
            with suppress(DatabaseTrouble):
                _fail(run, f"{type(error).__name__}: {error}", clock())
            raise
        else:
            run.state, run.finished_at = RehearsalState.FINISHED, clock()
            run.save(update_fields=["state", "result", "finished_at"])
        return run


def _fail(run: Rehearsal, problem: str, now: datetime) -> None:
    run.state, run.problem, run.finished_at = RehearsalState.FAILED, " ".join(problem.split())[:2000], now
    run.save(update_fields=["state", "problem", "finished_at"])


def _simulated(run: Rehearsal, clock: Clock) -> dict[str, Any]:
    """Return the result of the simulation. Raises ModelRefused and RunFailed."""
    began, of_run = clock(), scenario_of(run)
    model.proven(of_run, run.seed)
    # Under its name: to seek in the file that the simulation writes into would move its end.
    with tempfile.NamedTemporaryFile("w", prefix=scratch.PREFIX) as told:
        watch = _Watch(run, told, clock)
        try:
            with scratch.prepared(told) as made:
                result = made.run(Order(run.devices, run.seed, of_run), watch)
        except TookTooLong:
            raise
        except RunFailed as error:
            raise RunFailed(f"{error} {watch.last_line()}") from error
    seconds = result["seconds"]
    seconds[_PREPARING] = round((clock() - began).total_seconds() - sum(seconds.values()), 1)
    return result


class _Watch:
    """Writes down what a simulation tells of its progress, and ends it when it takes too long."""

    def __init__(self, run: Rehearsal, told: IO[str], clock: Clock) -> None:
        self._run, self._told, self._clock = run, Path(told.name), clock
        self._ends = clock() + LONGEST

    def __call__(self) -> None:
        now, line = self._clock(), self.last_line()
        if now > self._ends:
            raise TookTooLong(f"It took longer than {LONGEST // timedelta(minutes=1)} minutes. Ask for fewer meters.")
        if line != self._run.progress:
            self._run.progress, self._run.worked_at = line, now
            self._run.save(update_fields=["progress", "worked_at"])

    def last_line(self) -> str:
        lines = self._told.read_text(errors="replace").split("\n")
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")


def scenario_of(run: Rehearsal) -> Scenario:
    """Return the scenario of a run; what a version before this one did not know of is as packaged."""
    known = packaged().to_json()
    return Scenario.from_json({name: run.scenario.get(name, value) for name, value in known.items()})


def differences(here: Scenario, there: Scenario) -> list[Difference]:
    """Return the numbers in which two scenarios differ, in the order of the file."""
    others = there.numbers()
    return [Difference(name, others[name], value) for name, value in here.numbers().items() if value != others[name]]


def expected(devices: int, finished: Sequence[Rehearsal]) -> timedelta | None:
    """Return how long so many meters take, by those that are through; None when there are none."""
    largest = max(finished, key=lambda run: run.devices, default=None)
    if largest is None or largest.result is None:
        return None
    seconds = largest.result["seconds"]
    of_meters = seconds["planting"] + seconds["campaign"]
    return timedelta(seconds=seconds[_PREPARING] + of_meters * devices / largest.devices)


def latest_finished() -> list[Rehearsal]:
    """Return the last that are through, by which one sees how quick this machine is. One query."""
    return list(Rehearsal.objects.filter(state=RehearsalState.FINISHED).order_by("-pk")[:_LATEST])


def packaged() -> Scenario:
    """Return the scenario that the product brings along."""
    return scenario.default().scenario
