"""What alerts and queues ask of a person, worst first, each with its one next step: for the top of the dashboard."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from inventory.admin import cells, links
from inventory.alerts.wording import own_text
from inventory.models import Alert, AlertKind, Delivery, Device, Urgency
from inventory.queues import Queue, in_queue

_MOST_OWN = 5
_DIGESTS_MAY_WAIT = timedelta(minutes=30)


@dataclass(frozen=True)
class Attention:
    """One decision. `tone` is late, stopped or attention; `step` is what to do next, at `url`."""

    tone: str
    text: str
    step: str
    url: str


def attention(now: datetime, fleet_id: int | None = None) -> list[Attention]:
    """Return what waits for a person, the portal's own first, of one fleet or of all. Five queries."""
    return [*_own(now), *_digests(now), *_queues(now, fleet_id), *_alerts(fleet_id)]


def _own(now: datetime) -> Iterator[Attention]:
    alerts = Alert.objects.waiting().filter(urgency=Urgency.PORTAL).order_by("ends_at", "id")[:_MOST_OWN]
    for alert in alerts:
        text = own_text(AlertKind(alert.kind), cells.visible(alert.about), alert.ends_at, now)
        yield Attention("late", text, _("acknowledge it"), links.page("inventory_alert", alert.pk))


def _digests(now: datetime) -> Iterator[Attention]:
    stuck = Delivery.objects.filter(delivered_at=None, created_at__lt=now - _DIGESTS_MAY_WAIT)
    count = stuck.count()
    if count:
        text = ngettext("%(count)s alert digest reached nobody.", "%(count)s alert digests reached nobody.", count)
        url = links.changelist("inventory_delivery", delivered_at__isnull=True)
        yield Attention("late", text % {"count": cells.count(count)}, _("see why"), url)


def _queues(now: datetime, fleet_id: int | None) -> Iterator[Attention]:
    devices = Device.objects.filter(fleet_id=fleet_id) if fleet_id is not None else Device.objects.all()
    revoked = in_queue(devices, Queue.REVOKED, now).count()
    if revoked:
        text = ngettext(
            "%(count)s device is cut off by a revocation.", "%(count)s devices are cut off by revocations.", revoked
        )
        url = links.changelist("inventory_revokeddevice", fleet=fleet_id)
        yield Attention("stopped", text % {"count": cells.count(revoked)}, _("look into them"), url)
    expired = in_queue(devices, Queue.EXPIRED, now).count()
    if expired:
        text = ngettext(
            "%(count)s device stands on an expired certificate.",
            "%(count)s devices stand on expired certificates.",
            expired,
        )
        url = links.changelist("inventory_expireddevice", fleet=fleet_id)
        yield Attention("late", text % {"count": cells.count(expired)}, _("enrol them anew"), url)


def _alerts(fleet_id: int | None) -> Iterator[Attention]:
    alerts = Alert.objects.waiting().filter(urgency=Urgency.DEVICE)
    if fleet_id is not None:
        alerts = alerts.filter(certificate__device__fleet_id=fleet_id)
    found = alerts.order_by().aggregate(count=Count("id"), climbed=Count("id", filter=Q(level__gt=1)), top=Max("level"))
    if not found["count"]:
        return
    text = ngettext(
        "%(count)s certificate reached its alert threshold.",
        "%(count)s certificates reached their alert thresholds.",
        found["count"],
    )
    text %= {"count": cells.count(found["count"])}
    if found["climbed"]:
        climbed = _(" %(climbed)s went unanswered up to level %(top)s.")
        text += climbed % {"climbed": cells.count(found["climbed"]), "top": found["top"]}
    url = links.changelist("inventory_alert", state="waiting", fleet=fleet_id)
    yield Attention("late" if found["climbed"] else "attention", text, _("acknowledge or plan a campaign"), url)
