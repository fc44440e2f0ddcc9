"""Alerts about the portal itself. Whoever detects such conditions reports all of them on every sweep."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from inventory.models import Alert, AlertKind, AlertPolicy, AppliesTo, Resolution, Urgency


@dataclass(frozen=True)
class Concern:
    """A condition that somebody must resolve. `threshold` (days) distinguishes its degrees of urgency."""

    kind: AlertKind
    about: str
    ends_at: datetime
    threshold: int = 0
    certificate_id: int | None = None


def report(kinds: Collection[AlertKind], found: Sequence[Concern], now: datetime) -> int:
    """Synchronise the open alerts of `kinds` with `found`: raise new ones, resolve those that no longer apply.

    Return how many were raised. The next sweep notifies people of them. Nothing is raised unless a policy for the
    portal is enabled. Five queries, one more if `ends_at` of a known alert has changed.
    """
    policy = AlertPolicy.objects.filter(applies_to=AppliesTo.PORTAL, enabled=True).first()
    with transaction.atomic():
        alerts = Alert.objects.open().filter(urgency=Urgency.PORTAL, kind__in=kinds).select_for_update()
        known = {(alert.kind, alert.about, alert.threshold): alert for alert in alerts}
        named = {(concern.kind.value, concern.about, concern.threshold): concern for concern in found}
        gone = {key: alert.pk for key, alert in known.items() if key not in named}
        worse = {(kind, about) for kind, about, _threshold in named}
        nearer = [pk for (kind, about, _threshold), pk in gone.items() if (kind, about) in worse]
        settled = [pk for (kind, about, _threshold), pk in gone.items() if (kind, about) not in worse]
        moved = [alert for key, alert in known.items() if key in named and alert.ends_at != named[key].ends_at]
        for alert in moved:
            alert.ends_at = named[alert.kind, alert.about, alert.threshold].ends_at
        Alert.objects.bulk_update(moved, ["ends_at"])
        Alert.objects.filter(pk__in=nearer).update(resolved_at=now, resolution=Resolution.TIGHTENED)
        Alert.objects.filter(pk__in=settled).update(resolved_at=now, resolution=Resolution.SETTLED)
        if policy is None:
            return 0
        new = [_alert(concern, policy, now) for key, concern in named.items() if key not in known]
        Alert.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


def _alert(concern: Concern, policy: AlertPolicy, now: datetime) -> Alert:
    return Alert(
        kind=concern.kind,
        urgency=Urgency.PORTAL,
        about=concern.about[:600],
        certificate_id=concern.certificate_id,
        policy=policy,
        threshold=concern.threshold,
        ends_at=concern.ends_at,
        raised_at=now,
        level_since=now,
    )
