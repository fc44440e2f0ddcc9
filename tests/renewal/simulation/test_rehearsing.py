"""A rehearsal is done once, by one process at a time, and ends in a state with its reason; a killed one is not lost."""

import os
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import django_rq
import psycopg
import pytest
from django.db import connection

from certportal.health import examine
from inventory import session_locks
from inventory.audit.record import SYSTEM
from renewal import jobs
from renewal.models import Rehearsal, RehearsalState
from renewal.simulation import rehearsing
from renewal.simulation.fleet import scratch
from renewal.simulation.fleet.scenario import Scenario
from renewal.simulation.fleet.scratch import Order
from tests.factories import NOW

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]
QUICK = replace(rehearsing.packaged(), tick_hours=12.0)
# No model can have more dead zones than meters out of reach.
IMPOSSIBLE = replace(QUICK, no_coverage=0.3)


@pytest.fixture(autouse=True)
def queue():
    named = django_rq.get_queue("bulk", commit_mode="auto")
    named.connection.flushdb()
    yield named
    named.connection.flushdb()


def asked(scenario: Scenario = QUICK, devices: int = 50) -> Rehearsal:
    return rehearsing.ask(Order(devices, 7, scenario), fleets=None, now=NOW, actor=SYSTEM)


def left_over() -> set[str]:
    """Return the scratch databases of this process."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [f"{scratch.PREFIX}{os.getpid()}_"]
        )
        return {name for (name,) in cursor.fetchall()}


@contextmanager
def another_process_works():
    own, key = connection.get_connection_params(), session_locks.key_of("certportal rehearsals")
    with psycopg.connect(**{name: own[name] for name in ("host", "user", "password", "dbname")}) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [key])
        yield
        # The server may need a moment to notice that a session has ended.
        other.execute("SELECT pg_advisory_unlock(%s)", [key])


def test_a_rehearsal_takes_virtual_meters_through_a_real_campaign(queue):
    run = asked()
    assert [job.func_name for job in queue.get_jobs()] == ["renewal.jobs.rehearse"]

    jobs.rehearse()

    run.refresh_from_db()
    assert (run.state, run.problem, run.attempts) == (RehearsalState.FINISHED, "", 1)
    result: Any = run.result
    assert result["devices"] == 50
    assert result["renewed"] + result["expired_in_service"] + result["states"]["withdrawn"] == 50
    assert run.progress == f"Day 90: {result['course'][89]['confirmed']} of 50 renewed."
    assert len(result["course"]) == result["days"] == 91
    assert set(result["seconds"]) == {"planting", "campaign", "preparing"}


def test_a_rehearsal_that_takes_too_long_is_ended_and_leaves_no_database_behind():
    run, before = asked(), left_over()
    hours = iter(range(1_000))

    rehearsing.work(lambda: NOW + timedelta(hours=next(hours)))

    run.refresh_from_db()
    assert run.state == RehearsalState.FAILED
    assert run.problem == "It took longer than 60 minutes. Ask for fewer meters."
    assert left_over() <= before


def test_a_model_that_cannot_be_fails_with_its_reason():
    run = asked(IMPOSSIBLE)
    jobs.rehearse()
    run.refresh_from_db()
    assert run.state == RehearsalState.FAILED
    assert run.problem.startswith("share unreachable in a window: the model gives")
    assert run.finished_at is not None


def killed(times: int) -> Rehearsal:
    run = asked()
    Rehearsal.objects.filter(pk=run.pk).update(state=RehearsalState.RUNNING, attempts=times)
    return run


def test_a_rehearsal_killed_twice_is_not_taken_up_again():
    run = killed(times=2)
    jobs.rehearse()
    run.refresh_from_db()
    assert (run.state, run.attempts) == (RehearsalState.FAILED, 2)
    assert run.problem == "It was taken up 2 times, and each time its process was killed."


def test_one_killed_once_is_and_a_fault_of_the_program_ends_it_with_its_name_and_is_raised():
    run = killed(times=1)
    Rehearsal.objects.filter(pk=run.pk).update(scenario={"ladder": 7})
    with pytest.raises(ValueError, match="A ladder is an object"):
        jobs.rehearse()
    run.refresh_from_db()
    assert (run.state, run.attempts) == (RehearsalState.FAILED, 2)
    assert run.problem.startswith("LadderError: A ladder is an object")


def test_one_at_a_time_in_the_order_they_were_asked_for():
    first, second = killed(times=2), killed(times=2)
    with another_process_works():
        assert rehearsing.work(lambda: NOW) is None
    assert rehearsing.work(lambda: NOW) == first
    assert rehearsing.work(lambda: NOW) == second
    assert rehearsing.work(lambda: NOW) is None


def test_a_lost_job_is_found_and_one_that_waits_or_runs_is_not_lost(queue):
    asked()
    jobs.sweep_rehearsals()
    assert queue.count == 1
    queue.empty()
    with another_process_works():
        jobs.sweep_rehearsals()
    assert queue.count == 0
    jobs.sweep_rehearsals()
    assert queue.count == 1


def test_nothing_is_enqueued_when_all_have_ended(queue):
    jobs.sweep_rehearsals()
    assert queue.count == 0


def test_only_so_many_wait():
    for _run in range(rehearsing.MOST_WAITING):
        asked()
    with pytest.raises(rehearsing.NotAsked, match="10 runs have not ended yet"):
        asked()


def test_the_latest_hundred_are_kept_and_none_that_has_not_ended_is_forgotten():
    waits = asked()
    ended = {"state": RehearsalState.FAILED, "problem": "x", "finished_at": NOW}
    values = {"asked_by": "x", "asked_at": NOW, "worked_at": NOW, "devices": 50, "seed": 1, "scenario": {}}
    Rehearsal.objects.bulk_create(Rehearsal(**values, **ended) for _run in range(rehearsing.KEPT + 5))
    last = asked()
    kept = Rehearsal.objects.all()
    assert set(kept[: rehearsing.KEPT]) == set(kept.filter(pk__gt=last.pk - rehearsing.KEPT))
    assert kept.count() == rehearsing.KEPT + 1
    assert kept.filter(pk=waits.pk).exists()


def test_doctor_names_the_rehearsal_that_no_worker_takes(settings):
    settings.MQTT_URL, settings.DEMO_DEVICES = "", 0

    def told(after: timedelta) -> str:
        return {each.check: each.problem for each in examine(NOW + after)}["what-if runs"]

    run = asked()
    assert told(timedelta(minutes=9)) == ""
    assert f"What-if run {run} stands still since" in told(timedelta(minutes=11))
    assert "rqworker --worker-ttl 60 bulk" in told(timedelta(minutes=11))
    with another_process_works():
        assert told(timedelta(minutes=11)) == ""


def test_numbers_that_an_older_version_did_not_know_are_as_packaged():
    run = Rehearsal(scenario={"lead_days": 30.0, "moon": 1.0})
    assert rehearsing.scenario_of(run) == replace(rehearsing.packaged(), lead_days=30.0)
