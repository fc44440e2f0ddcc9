"""The digests of a sweep: one for each recipient, with counts and the first certificates to expire."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, DateTimeField, DurationField, Exists, ExpressionWrapper, F, Min, OuterRef, Q, Value

from inventory.alerts.escalation import late_before
from inventory.models import Alert, AlertLevel, AlertRun, Delivery, Urgency
from inventory.models.alert import AlertQuerySet

MOST_SHOWN = 20
_DAY = timedelta(days=1)
_Step = tuple[int, int]  # policy and level


def write(run: AlertRun, now: datetime) -> int:
    """Write the digests of `run` and finish it, in one transaction. Return how many recipients have one.

    What was acknowledged or ended since it fired is left out. Five statements, and two for each recipient.
    """
    with transaction.atomic():
        counted = _counted(run, now)
        deliveries = []
        for recipient, steps in _recipients(counted).items():
            lines = [line for step in steps for line in counted[step]]
            content = _content(run, steps, lines)
            count = len(content["portal"]) + sum(line["count"] for line in content["devices"])
            if count:
                delivery = Delivery(
                    run=run, recipient_id=recipient, content=content, certificates=count, created_at=now
                )
                deliveries.append(delivery)
        Delivery.objects.bulk_create(deliveries)
        run.finished_at = now
        run.save(update_fields=["finished_at"])
        _forget_silent_runs(run)
    return len(deliveries)


def _forget_silent_runs(run: AlertRun) -> None:
    """Delete earlier sweeps that nothing refers to: most find nothing new. The latest stays and says when we looked."""
    told = Exists(Alert.objects.filter(run=OuterRef("pk"))) | Exists(Delivery.objects.filter(run=OuterRef("pk")))
    silent = AlertRun.objects.filter(~told, pk__lt=run.pk, finished_at__isnull=False)
    silent._raw_delete(silent.db)


def _fired(run: AlertRun) -> AlertQuerySet:
    return Alert.objects.waiting().filter(run=run)


def _counted(run: AlertRun, now: datetime) -> dict[_Step, list[dict[str, Any]]]:
    """Count what fired on each step, by threshold. `late`: what should have fired on an earlier day. One statement."""
    counted: dict[_Step, list[dict[str, Any]]] = defaultdict(list)
    reached = Value(late_before(0, now)) + ExpressionWrapper(F("threshold") * Value(_DAY), DurationField())
    late = Q(
        urgency=Urgency.DEVICE,
        raised_at=F("notified_at"),
        ends_at__lt=ExpressionWrapper(reached, DateTimeField()),
    )
    rows = (
        _fired(run)
        .order_by()
        .values("policy_id", "policy__name", "level", "threshold", "urgency")
        .annotate(
            count=Count("id"),
            late=Count("id", filter=late),
            soonest=Min("ends_at"),
        )
        .order_by("policy__name", "level", "threshold")
    )
    for row in rows:
        counted[row["policy_id"], row["level"]].append(dict(row))
    return counted


def _recipients(steps: Iterable[_Step]) -> dict[int, list[_Step]]:
    """Return the steps that each recipient stands on. One statement."""
    wanted = set(steps)
    found: dict[int, list[_Step]] = defaultdict(list)
    named = AlertLevel.objects.filter(recipients__isnull=False, policy__in={policy for policy, _level in wanted})
    for recipient, policy, level in named.order_by("recipients__name", "policy__name", "number").values_list(
        "recipients", "policy_id", "number"
    ):
        if (policy, level) in wanted:
            found[recipient].append((policy, level))
    return found


def _content(run: AlertRun, steps: list[_Step], lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a digest says, as it is kept. The portal's own come first."""
    mine = Q()
    for policy, level in steps:
        mine |= Q(policy=policy, level=level)
    fired = _fired(run).filter(mine)
    own = fired.filter(urgency=Urgency.PORTAL).order_by("ends_at", "id")
    soonest = fired.filter(urgency=Urgency.DEVICE).order_by("ends_at", "id")
    soonest = soonest.select_related("certificate__device__fleet").defer("certificate__der")[:MOST_SHOWN]
    return {
        "run": run.pk,
        "portal": [
            {"kind": alert.kind, "about": alert.about, "ends_at": alert.ends_at.isoformat(), "level": alert.level}
            for alert in own
        ],
        "devices": [
            {
                "policy": line["policy__name"],
                "level": line["level"],
                "threshold": line["threshold"],
                "count": line["count"],
                "late": line["late"],
                "soonest": line["soonest"].isoformat(),
            }
            for line in lines
            if line["urgency"] == Urgency.DEVICE
        ],
        "soonest": [_row(alert) for alert in soonest],
    }


def _row(alert: Alert) -> dict[str, Any]:
    assert alert.certificate is not None and alert.certificate.device is not None  # a device's alert
    certificate, device = alert.certificate, alert.certificate.device
    return {
        "device": device.serial,
        "fleet": device.fleet.slug,
        "certificate": certificate.serial,
        "ends_at": alert.ends_at.isoformat(),
        "threshold": alert.threshold,
        "level": alert.level,
    }
