"""The stores and the host: database, audit log, clock and disk."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from redis import RedisError

from certportal import disk
from certportal.health.findings import Finding
from inventory.audit.append_only import trigger_is_on

_CLOCKS_MAY_DIFFER = timedelta(seconds=5)
# Named before uploads are refused, so that somebody can make room in time.
_DISK_IS_SHORT_BELOW = 2 * disk.RESERVE


def database(_now: datetime) -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        [version] = cursor.fetchone()
    pending = MigrationExecutor(connection).migration_plan(MigrationExecutor(connection).loader.graph.leaf_nodes())
    problem = f"{len(pending)} migrations wait; run manage.py migrate." if pending else ""
    yield Finding("database", f"PostgreSQL {version}", problem)


def audit_log(_now: datetime) -> Iterator[Finding]:
    """The trigger that keeps the log append-only must be there and on."""
    problem = ""
    if not trigger_is_on():
        problem = (
            "The trigger that refuses to change audit events is off or gone: find out who did that and since when, "
            "then ALTER TABLE inventory_auditevent ENABLE ALWAYS TRIGGER audit_is_append_only."
        )
    yield Finding("audit log", "append-only", problem)


def clock(_now: datetime) -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [database_time] = cursor.fetchone()
    apart = abs(datetime.now(UTC) - database_time)
    problem = f"This host and the database differ by {apart}; set the clocks." if apart > _CLOCKS_MAY_DIFFER else ""
    yield Finding("clock", f"{apart.total_seconds():.3f} s from the database's", problem)


def disk_space(_now: datetime) -> Iterator[Finding]:
    """The disk of the home, where the embedded stores, CRLs, uploads and logs are."""
    home = Path(settings.HOME)
    free = disk.free(home)
    fact = f"{free >> 20:,} MiB free below {home}"
    problem = f"Only {fact}; make room before the database stops." if free < _DISK_IS_SHORT_BELOW else ""
    yield Finding("disk space", fact, problem)


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
