"""Writing the audit log, in the transaction of the act that it tells of."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, TypedDict

import structlog
from django.db import connection

from inventory import pg_copy
from inventory.models import AuditAction, AuditEvent, Certificate, Device
from inventory.models.audit import ActorKind

_INSERT_SELECTED = """
    INSERT INTO inventory_auditevent
        (action, actor_kind, actor, source_address, request_id, at, object_name, device_id, certificate_id, details)
    SELECT %s, %s, %s, %s::inet, %s, at, left(object_name, 600), device_id, certificate_id, details
    FROM ({rows}) rows"""


@dataclass(frozen=True)
class Actor:
    """Who acted, and from where. The `name` of a program is that of its API token, which includes the user's.

    `user_id` is the responsible account; all tokens of one user share it. `request_id` is that of the request or job
    by which it acts, None for the one that is being served.
    """

    kind: ActorKind
    name: str
    source_address: str | None = None
    user_id: int | None = None
    request_id: str | None = None


def current_request_id() -> str:
    """Return the id of the request or job that is being served, as logs have it; nothing outside of any."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def without_zone(address: str | None) -> str | None:
    """Return the address as stored in the log; use it when counting entries.

    The zone of a link-local IPv6 address is removed: it is not part of the address (RFC 4007 11).
    """
    return (address or "").partition("%")[0] or None


SYSTEM = Actor(ActorKind.SYSTEM, "certportal")


def event(
    action: AuditAction,
    *,
    now: datetime,
    actor: Actor,
    object_name: str,
    device: Device | None = None,
    certificate: Certificate | None = None,
    details: dict[str, Any] | None = None,
) -> AuditEvent:
    """Return an unsaved event, carrying the id of the request or job that is being served."""
    return AuditEvent(
        at=now,
        action=action,
        **_who(actor),
        object_name=object_name[:600],
        device=device,
        certificate=certificate,
        details=details or {},
    )


class _Who(TypedDict):
    actor_kind: str
    actor: str
    source_address: str | None
    request_id: str


def _who(actor: Actor) -> _Who:
    """Return the columns that say who acted, from where and in which request or job."""
    return {
        "actor_kind": actor.kind.value,
        "actor": actor.name[:150],
        "source_address": without_zone(actor.source_address),
        "request_id": (current_request_id() if actor.request_id is None else actor.request_id)[:64],
    }


def record(events: Iterable[AuditEvent]) -> None:
    """Write events in one statement a thousand rows; call it inside the transaction of the act."""
    AuditEvent.objects.bulk_create(events, batch_size=1000)


class Entry(NamedTuple):
    """An event as the columns of its row, for acts by the thousand: a model's instance costs as much as a signature."""

    at: datetime
    action: str
    actor_kind: str
    actor: str
    source_address: str | None
    request_id: str
    object_name: str
    device_id: int | None
    certificate_id: int | None
    details: str


def entry(
    action: AuditAction,
    *,
    now: datetime,
    actor: Actor,
    object_name: str,
    device_id: int | None,
    certificate_id: int | None,
    details: dict[str, Any],
) -> Entry:
    """Return what `event` returns, as an Entry."""
    return Entry(
        at=now,
        action=action.value,
        **_who(actor),
        object_name=object_name[:600],
        device_id=device_id,
        certificate_id=certificate_id,
        details=json.dumps(details),
    )


def record_by_copy(entries: Sequence[Entry]) -> None:
    """Write entries in one COPY, none in no statement; call it inside the transaction of the act."""
    if not entries:
        return
    with connection.cursor() as cursor:
        pg_copy.copy_in(cursor, "inventory_auditevent", Entry._fields, map(_row, entries))


def _row(written: Entry) -> bytes:
    return b"".join(
        (
            _beginning(*written[:6]),
            pg_copy.text(written.object_name),
            pg_copy.int8(written.device_id),
            pg_copy.int8(written.certificate_id),
            pg_copy.jsonb(written.details),
        )
    )


@lru_cache(maxsize=1024)
def _beginning(
    at: datetime, action: str, actor_kind: str, actor: str, source_address: str | None, request_id: str
) -> bytes:
    """Return the columns that the events of one act by one actor share."""
    return b"".join(
        (
            pg_copy.width(Entry._fields),
            pg_copy.moment(at),
            *map(pg_copy.text, (action, actor_kind, actor)),
            pg_copy.inet(source_address),
            pg_copy.text(request_id),
        )
    )


def record_selected(action: AuditAction, rows: str, parameters: Sequence[Any], *, actor: Actor) -> None:
    """Write an event for each row of the query `rows`: at, object_name, device_id, certificate_id, details (jsonb).

    For acts by the thousand: as `event` and `record` in one statement, of what the database has already.
    """
    who = _who(actor)
    of_all = [action.value, who["actor_kind"], who["actor"], who["source_address"], who["request_id"]]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_SELECTED.format(rows=rows), [*of_all, *parameters])
