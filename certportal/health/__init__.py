"""Whether the portal does its work: one check a question, each with what is wrong and what to do about it."""

from collections.abc import Callable, Iterator
from datetime import datetime

from django.db import DatabaseError
from redis import RedisError

from certportal.health import certificates, stores, work
from certportal.health.findings import Finding
from certportal.health.stores import ready

__all__ = ["Finding", "examine", "ready"]

_Check = Callable[[datetime], Iterator[Finding]]

_CHECKS: tuple[_Check, ...] = (
    stores.database,
    stores.audit_log,
    stores.clock,
    stores.disk_space,
    work.workers,
    work.queues,
    work.heartbeat,
    work.broker,
    work.imports,
    work.rehearsals,
    work.channels,
    certificates.crls,
    certificates.issuing,
    certificates.ocsp_signers,
    certificates.scep_registration_authorities,
    certificates.own_certificates,
)


def examine(now: datetime) -> list[Finding]:
    """Run every check; a store that is down fails the checks that need it, not the examination."""
    return [finding for check in _CHECKS for finding in _run(check, now)]


def _run(check: _Check, now: datetime) -> Iterator[Finding]:
    name = check.__name__.replace("_", " ")
    try:
        yield from check(now)
    except DatabaseError as error:
        yield Finding(name, "", f"The database does not answer: {error}".strip())
    except RedisError as error:
        yield Finding(name, "", f"Valkey does not answer: {error}")
