"""Writing the audit log, in the transaction of the act that it tells of."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from inventory.models import AuditAction, AuditEvent, Certificate, Device
from inventory.models.audit import ActorKind


@dataclass(frozen=True)
class Actor:
    """Who acted, and from where."""

    kind: ActorKind
    name: str
    source_address: str | None = None


def without_zone(address: str | None) -> str | None:
    """Return the address of a peer as the log keeps it; whoever counts what was recorded asks by it too.

    A link-local IPv6 address comes with its zone, which is no part of it (RFC 4007 11).
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
    context = structlog.contextvars.get_contextvars()
    return AuditEvent(
        at=now,
        action=action,
        actor_kind=actor.kind,
        actor=actor.name[:150],
        source_address=without_zone(actor.source_address),
        request_id=str(context.get("request_id", ""))[:64],
        object_name=object_name[:600],
        device=device,
        certificate=certificate,
        details=details or {},
    )


def record(events: Iterable[AuditEvent]) -> None:
    """Write events in one statement a thousand rows; call it inside the transaction of the act."""
    AuditEvent.objects.bulk_create(events, batch_size=1000)
