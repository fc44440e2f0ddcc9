"""Every periodic job of the portal, in one table, and the one process that may put them into the queues."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import django_rq
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.utils.module_loading import import_string
from redis import Redis
from rq.cron import CronJob, CronScheduler
from rq.job import Job

from certportal import brakes, device_certificate
from certportal.api import idempotency

_HEARTBEAT_KEY = "certportal:cron-heartbeat"
# The first eight bytes of "certcron", as PostgreSQL's advisory locks have numbers for names.
_LOCK = int.from_bytes(b"certcron")
_SECONDS_BETWEEN_TRIES = 5.0


@dataclass(frozen=True)
class PeriodicJob:
    """A function that a worker runs every so many seconds; it must bear running twice and running late."""

    function: str
    seconds: int
    queue: str


PERIODIC_JOBS: tuple[PeriodicJob, ...] = (
    PeriodicJob("certportal.cron.beat", 30, "default"),
    PeriodicJob("certportal.cron.look_after_device_certificate", 3600, "default"),
    PeriodicJob("inventory.jobs.sweep_imports", 60, "default"),
    PeriodicJob("certportal.cron.forget_answers", 3600, "default"),
    PeriodicJob("certportal.cron.forget_brakes", 3600, "default"),
    PeriodicJob("inventory.jobs.expire_proposals", 300, "default"),
    PeriodicJob("inventory.jobs.sweep_own_alerts", 60, "default"),
    PeriodicJob("inventory.jobs.sweep_alerts", 1800, "default"),
    PeriodicJob("inventory.jobs.settle_alerts", 10, "default"),
    PeriodicJob("inventory.jobs.fold_counters", 10, "default"),
    PeriodicJob("inventory.jobs.watch_cliffs", 300, "default"),
    PeriodicJob("inventory.jobs.check_counters", 24 * 3600, "default"),
    PeriodicJob("renewal.jobs.tick_campaigns", 5, "default"),
    PeriodicJob("renewal.jobs.check_target_counts", 24 * 3600, "default"),
    PeriodicJob("renewal.jobs.report_channel_trouble", 60, "default"),
    PeriodicJob("renewal.jobs.match_early_receipts", 60, "default"),
    PeriodicJob("renewal.jobs.renew_registration_authorities", 60, "default"),
    PeriodicJob("renewal.jobs.tell_refusals", 60, "default"),
    PeriodicJob("renewal.jobs.keep_work_orders", 60, "default"),
    PeriodicJob("renewal.jobs.keep_tickets", 60, "default"),
    PeriodicJob("renewal.jobs.count_healing", 24 * 3600, "default"),
    PeriodicJob("renewal.jobs.sweep_rehearsals", 60, "default"),
    # Once a day for each campaign: more often, so that a portal which was down at that hour makes up for it.
    PeriodicJob("renewal.jobs.keep_forecasts", 3600, "default"),
    PeriodicJob("revocation.jobs.sweep_crls", 20, "urgent"),
    PeriodicJob("revocation.jobs.report_late_crls", 60, "default"),
    PeriodicJob("revocation.jobs.renew_ocsp_signers", 60, "default"),
)


def beat() -> None:
    """Leave a sign that cron, queue and a worker do their part; `last_beat` reads it."""
    cache.set(_HEARTBEAT_KEY, datetime.now(UTC), timeout=None)


def look_after_device_certificate() -> None:
    """Renew the device plane's own certificate in time."""
    device_certificate.ensure(datetime.now(UTC))


def forget_answers() -> None:
    """Forget the answers that nobody asks for a second time any more."""
    idempotency.forget(datetime.now(UTC))


def forget_brakes() -> None:
    """Forget who tried to log in long ago."""
    brakes.forget(datetime.now(UTC))


def last_beat() -> datetime | None:
    """Return when `beat` last ran, None when it never did."""
    found: datetime | None = cache.get(_HEARTBEAT_KEY)
    return found


class DueJob(CronJob):
    """RQ's periodic job, put into a queue of the settings: RQ's own would be a pickle."""

    def enqueue(self, connection: Redis) -> Job:
        queue = django_rq.get_queue(self.queue_name, connection=connection, commit_mode="auto")
        job: Job = queue.enqueue(self.func_name, **self.job_options)
        return job


class Scheduler(CronScheduler):
    """RQ's scheduler of one table, which enqueues only while its database session holds the lock.

    Two schedulers would run every job twice. The lock belongs to the session: when that ends, for whatever reason, the
    next look at it raises, this process ends and another may take over.
    """

    def enqueue_jobs(self) -> list[CronJob]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return super().enqueue_jobs()


def scheduler(jobs: tuple[PeriodicJob, ...], redis: Redis) -> Scheduler:
    """Return a scheduler of `jobs`; raise `ImportError` when one names no function."""
    made = Scheduler(connection=redis)
    for job in jobs:
        due = DueJob(
            job.queue,
            import_string(job.function),
            interval=job.seconds,
            job_timeout=int(settings.RQ_QUEUES[job.queue]["DEFAULT_TIMEOUT"]),
            # While no worker runs, jobs expire instead of piling up.
            ttl=job.seconds,
        )
        made.get_jobs().append(due)
    return made


def take_lock(waiting: Callable[[], None], sleep: Callable[[float], None] = time.sleep) -> None:
    """Return once this database session holds the lock; call `waiting` when another one has it."""
    told = False
    while not _try_lock():
        if not told:
            waiting()
            told = True
        sleep(_SECONDS_BETWEEN_TRIES)


def _try_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        row = cursor.fetchone()
    return bool(row and row[0])
