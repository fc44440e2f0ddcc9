"""Whether the portal does its work: one check a question, each with what is wrong and what to do about it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import django_rq
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from redis import RedisError
from rq import Worker

from certportal.cron import last_beat
from inventory.alerts.infrastructure import certificates as own_certificates
from renewal.models import ChannelTrouble
from revocation.freshness import freshness

_BEAT_MAY_BE_OLD = timedelta(minutes=3)
_CLOCKS_MAY_DIFFER = timedelta(seconds=5)


@dataclass(frozen=True)
class Finding:
    """What one check found. `problem` empty: all is well, and `fact` says how well."""

    check: str
    fact: str
    problem: str = ""


def examine(now: datetime) -> list[Finding]:
    """Run every check; a store that is down fails the checks that need it, not the examination."""
    return [finding for check in _CHECKS for finding in _run(check, now)]


_Check = Callable[[datetime], Iterator[Finding]]


def _run(check: _Check, now: datetime) -> Iterator[Finding]:
    name = check.__name__.strip("_").replace("_", " ")
    try:
        yield from check(now)
    except DatabaseError as error:
        yield Finding(name, "", f"The database does not answer: {error}".strip())
    except RedisError as error:
        yield Finding(name, "", f"Valkey does not answer: {error}")


def _database(_now: datetime) -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        [version] = cursor.fetchone()
    pending = MigrationExecutor(connection).migration_plan(MigrationExecutor(connection).loader.graph.leaf_nodes())
    problem = f"{len(pending)} migrations wait; run manage.py migrate." if pending else ""
    yield Finding("database", f"PostgreSQL {version}", problem)


def _clock(_now: datetime) -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [database_time] = cursor.fetchone()
    apart = abs(datetime.now(UTC) - database_time)
    problem = f"This host and the database differ by {apart}; set the clocks." if apart > _CLOCKS_MAY_DIFFER else ""
    yield Finding("clock", f"{apart.total_seconds():.3f} s from the database's", problem)


def _queue(_now: datetime) -> Iterator[Finding]:
    connection_to_queue = django_rq.get_connection("default")
    workers = Worker.all(connection=connection_to_queue)
    problem = "" if workers else "No worker is registered; start manage.py rqworker --with-scheduler urgent default."
    yield Finding("workers", f"{len(workers)} registered", problem)
    for name in ("urgent", "default"):
        yield Finding(f"queue {name}", f"{django_rq.get_queue(name).count} jobs wait")


def _cron(now: datetime) -> Iterator[Finding]:
    beat = last_beat()
    if beat is None or now - beat > _BEAT_MAY_BE_OLD:
        seen = f"last beat at {beat:%Y-%m-%d %H:%M:%S}" if beat else "it never beat"
        yield Finding("cron", seen, f"Cron or the workers stand still ({seen}); look after manage.py cron.")
    else:
        yield Finding("cron", f"beat {int((now - beat).total_seconds())} s ago")


def _crls(now: datetime) -> Iterator[Finding]:
    for line in freshness(now):
        fact = f"number {line.number}, nextUpdate {line.next_update:%Y-%m-%d %H:%M}" if line.next_update else "none"
        problem = ""
        if line.number is None:
            problem = f"{line.scope} was never published; run manage.py publish_crls."
        elif line.expired(now):
            problem = f"{line.scope} is past its nextUpdate: verifiers refuse every device. Run manage.py publish_crls."
        elif line.late(now):
            problem = f"{line.scope} is late; look at the log of the workers."
        yield Finding(f"CRL {line.scope}", fact, problem)


def _own_certificates(now: datetime) -> Iterator[Finding]:
    """The latest certificate of each purpose that the portal needs for itself must not be near its end."""
    for own in own_certificates():
        certificate = own.certificate
        problem = ""
        if own.reached(now) is not None:
            problem = f"{certificate.subject} ends on {certificate.not_after:%Y-%m-%d}; renew it."
        yield Finding(
            f"{certificate.get_purpose_display()} {certificate.subject}", f"{certificate.not_after:%Y-%m-%d}", problem
        )


def _channels(now: datetime) -> Iterator[Finding]:
    """A channel is looked at when a campaign sends: one that nobody uses is in no trouble."""
    for trouble in ChannelTrouble.objects.current(now):
        fact = f"tried {trouble.tries} times in vain"
        problem = (
            f"No trigger leaves since {trouble.since:%Y-%m-%d %H:%M}: {trouble.problem}. Look at the broker; "
            f"no device loses an attempt, the next try is at {trouble.next_try_at:%H:%M}."
        )
        yield Finding(f"channel {trouble}", fact, problem)


_CHECKS: tuple[_Check, ...] = (_database, _clock, _queue, _cron, _crls, _own_certificates, _channels)


def ready() -> list[str]:
    """Return what keeps this process from serving: the stores it cannot reach. Empty: it is ready."""
    missing = []
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        missing.append("database")
    try:
        cache.get("certportal:readyz")
    except RedisError:
        missing.append("valkey")
    return missing
