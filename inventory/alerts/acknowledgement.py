"""Acknowledging, muting and unmuting alerts. Each records who did it and why."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from inventory.audit.changes import changed
from inventory.audit.record import Actor, event, record
from inventory.models import Alert, AuditAction, AuditEvent, Certificate, Fleet, Mute
from inventory.models.alert import AlertQuerySet


def acknowledge(
    alerts: AlertQuerySet, *, note: str, now: datetime, actor: Actor, question: dict[str, Any] | None = None
) -> int:
    """Acknowledge the open `alerts`: nobody is notified again before a nearer threshold. Return how many.

    The audit event names the one alert, or how many and by which `question` they were chosen.
    """
    with transaction.atomic():
        chosen = Alert.objects.waiting().filter(pk__in=alerts.order_by().values("pk"))
        first = list(chosen.order_by().values_list("pk", flat=True)[:2])
        count = chosen.update(acknowledged_at=now, acknowledged_by=actor.name[:150] or "-", note=note[:500])
        if count:
            details = {"count": count, "note": note, **({"chosen_by": question} if question else {})}
            record([_acknowledged(first[0] if count == 1 else None, details, now=now, actor=actor)])
    return count


def _acknowledged(pk: int | None, details: dict[str, Any], *, now: datetime, actor: Actor) -> AuditEvent:
    alert = Alert.objects.select_related("certificate__device").filter(pk=pk).first() if pk else None
    certificate = alert.certificate if alert else None
    return event(
        AuditAction.ALERTS_ACKNOWLEDGED,
        now=now,
        actor=actor,
        object_name=subject(alert) if alert else f"{details['count']} alerts",
        device=certificate.device if certificate else None,
        certificate=certificate,
        details=details,
    )


def mute(alert: Alert, *, until: datetime, reason: str, now: datetime, actor: Actor) -> Mute:
    """Mute the subject of `alert` until then. Raises ValueError if the end is not in the future."""
    # Of the portal's own, the thing is muted: its next certificate would be another.
    if alert.about:
        return mute_of(about=alert.about, until=until, reason=reason, now=now, actor=actor)
    return mute_of(certificate=alert.certificate, until=until, reason=reason, now=now, actor=actor)


def mute_of(
    *,
    certificate: Certificate | None = None,
    fleet: Fleet | None = None,
    about: str = "",
    until: datetime,
    reason: str,
    now: datetime,
    actor: Actor,
) -> Mute:
    """Mute one of these until then. Raises ValueError if the end is not in the future."""
    if until <= now:
        raise ValueError("A mute ends in the future.")
    with transaction.atomic():
        made = Mute.objects.create(
            certificate=certificate,
            fleet=fleet,
            about=about,
            until=until,
            reason=reason[:500],
            created_at=now,
            created_by=actor.name[:150],
        )
        record([muted(made, now=now, actor=actor)])
    return made


def unmute(alert: Alert, *, now: datetime, actor: Actor) -> int:
    """End the mutes of the subject of `alert` now; one of its whole fleet stays. Return how many there were."""
    with transaction.atomic():
        ended = list(Mute.objects.active(now).about_subject_of(alert).select_for_update(of=("self",)))
        for mute in ended:
            before = mute.until
            # A mute lasts for a moment at least.
            mute.until = max(now, mute.created_at + timedelta.resolution)
            mute.save(update_fields=["until"])
            record([changed(mute, {"until": [before.isoformat(), mute.until.isoformat()]}, now=now, actor=actor)])
    return len(ended)


def muted(made: Mute, *, now: datetime, actor: Actor) -> AuditEvent:
    """Return the audit event of a mute."""
    certificate = made.certificate
    return event(
        AuditAction.ALERT_MUTED,
        now=now,
        actor=actor,
        object_name=str(made),
        device=certificate.device if certificate else None,
        certificate=certificate,
        details={"until": made.until.isoformat(), "reason": made.reason},
    )


def subject(alert: Alert) -> str:
    """Return what an alert is about, in one line."""
    return alert.about or str(alert.certificate)
