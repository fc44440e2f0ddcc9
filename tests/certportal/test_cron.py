"""The periodic jobs: one scheduler at a time, and a heartbeat that goes the whole way."""

import django_rq
import psycopg
import pytest
from django.db import OperationalError, connection
from django.utils.module_loading import import_string

from certportal import cron


@pytest.fixture
def redis(settings):
    client = django_rq.get_connection("default")
    client.flushdb()
    yield client
    client.flushdb()


@pytest.fixture
def other_session(transactional_db):
    """A database session of another process."""
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as session:
        yield session


def test_every_job_of_the_table_is_a_function_and_has_a_queue(settings):
    for job in cron.PERIODIC_JOBS:
        assert callable(import_string(job.function))
        assert job.queue in settings.RQ_QUEUES


@pytest.mark.django_db
def test_due_jobs_are_enqueued_once_and_expire_when_no_worker_takes_them(redis):
    jobs = (cron.PeriodicJob("certportal.cron.beat", 30, "urgent"),)
    scheduler = cron.scheduler(jobs, redis)
    scheduler.enqueue_jobs()
    scheduler.enqueue_jobs()
    (job,) = django_rq.get_queue("urgent").jobs
    assert (job.func_name, job.ttl, job.timeout) == ("certportal.cron.beat", 30, 120)


def test_the_heartbeat_is_seen(redis):
    assert cron.last_beat() is None
    cron.beat()
    assert cron.last_beat() is not None


def test_a_second_cron_waits_until_the_first_ends(other_session):
    other_session.execute("SELECT pg_advisory_lock(%s)", [cron._LOCK])
    waits = []

    def sleep(_seconds: float) -> None:
        waits.append(1)
        if len(waits) == 3:
            other_session.execute("SELECT pg_advisory_unlock(%s)", [cron._LOCK])

    told = []
    cron.take_lock(waiting=lambda: told.append(1), sleep=sleep)
    assert (len(waits), len(told)) == (3, 1)


def test_a_cron_whose_session_ended_enqueues_nothing(other_session, redis):
    jobs = (cron.PeriodicJob("certportal.cron.beat", 30, "default"),)
    scheduler = cron.scheduler(jobs, redis)
    cron.take_lock(waiting=pytest.fail)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    other_session.execute("SELECT pg_terminate_backend(%s)", [backend])
    with pytest.raises(OperationalError):
        scheduler.enqueue_jobs()
    assert django_rq.get_queue("default").jobs == []
    connection.close()
