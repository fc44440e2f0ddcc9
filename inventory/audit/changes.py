"""The audit event of a changed setting or object: old and new values by field."""

from datetime import datetime
from typing import Any

from django.db.models import Model

from inventory.audit.record import Actor, event
from inventory.models import AuditAction, AuditEvent, Device


def changed(obj: Model, changes: dict[str, Any], *, actor: Actor, now: datetime, added: bool = False) -> AuditEvent:
    """Return the event of `changes`: by field, a list of the old and the new value. `added`: the object is new."""
    return event(
        AuditAction.CONFIGURATION_CHANGED,
        now=now,
        actor=actor,
        object_name=f"{obj._meta.verbose_name}: {obj}",
        device=obj if isinstance(obj, Device) else None,
        details={"model": obj._meta.label_lower, "id": obj.pk, "added": added, "changes": changes},
    )
