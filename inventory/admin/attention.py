"""What alerts and revocations ask of a person, each with its one next step: for the top of the dashboard."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from inventory.admin import cells, links
from inventory.alerts.text import own_text
from inventory.devices.locked_out import Queue, count_up_to
from inventory.lists.row_counts import Count
from inventory.models import Alert, AlertKind, Case, Delivery, FleetIds, Urgency

_MOST = 5
_DIGESTS_MAY_WAIT = timedelta(minutes=30)


# Counts for the dashboard stop here: what goes beyond is as urgent as ten times more.
_COUNTED = 1000


@dataclass(frozen=True)
class Need:
    """One decision. `tone` is late, stopped or attention; `step` is what to do next, at `url`.

    `rows`: the list of what the text counts, where the step leads elsewhere.
    """

    tone: str
    text: str
    step: str
    url: str
    rows: str = ""


def needs(
    now: datetime,
    fleets: FleetIds = None,
    *,
    chosen: int | None = None,
    of_portal: bool = True,
    may: Callable[[str], bool] = lambda _permission: True,
    person: int | None = None,
) -> list[Need]:
    """Return what waits for a person, of some fleets or of all, that he or she `may` see.

    `chosen` is the fleet to which the lists are narrowed; `of_portal`: with what belongs to no fleet; `person` is who
    looks, who decides on no case of his or her own. Seven queries, none of which grows with the fleet.
    """
    found: list[Need] = []
    if of_portal and may("inventory.view_alert"):
        found += _first_of_all(now)
    if of_portal and may("inventory.view_delivery"):
        found += _digests(now)
    if may("inventory.view_device"):
        found += _revoked(now, fleets, chosen)
    # A case is a need of those who may decide on it; to all others the device's page tells who may.
    if may("inventory.view_case") and may("inventory.decide_case"):
        found += _cases(fleets, chosen, person)
    if may("inventory.view_alert"):
        found += _alerts(fleets, chosen, may("inventory.change_alert"))
    return found


def _first_of_all(now: datetime) -> Iterator[Need]:
    # CRLs are told of from the rows of CRLs, which know more.
    alerts = Alert.objects.waiting().filter(urgency=Urgency.PORTAL).exclude(kind=AlertKind.CRL)
    for alert in alerts.order_by("ends_at", "id")[:_MOST]:
        text = own_text(AlertKind(alert.kind), cells.visible(alert.about), alert.ends_at, now)
        yield Need("late", text, _("look into it"), links.page("inventory_alert", alert.pk))


def _digests(now: datetime) -> Iterator[Need]:
    stuck = Delivery.objects.filter(delivered_at=None, created_at__lt=now - _DIGESTS_MAY_WAIT)
    count = stuck.count()
    if count:
        text = ngettext("%(count)s alert digest reached nobody.", "%(count)s alert digests reached nobody.", count)
        url = links.changelist("inventory_delivery", delivered_at__isnull=True)
        yield Need("late", text % {"count": cells.count(count)}, _("see why"), url)


def _revoked(now: datetime, fleets: FleetIds, chosen: int | None) -> Iterator[Need]:
    count = count_up_to(_COUNTED, Queue.REVOKED, now, fleets)
    if count.number:
        text = ngettext(
            "%(count)s device is cut off by a revocation.",
            "%(count)s devices are cut off by revocations.",
            count.number,
        )
        url = links.changelist("inventory_revokeddevice", fleet=chosen)
        yield Need("stopped", text % {"count": _said(count)}, _("look into them"), url)


def _cases(fleets: FleetIds, chosen: int | None, person: int | None) -> Iterator[Need]:
    waiting = Case.objects.of_fleets(fleets)
    waiting = waiting.waiting() if person is None else waiting.decidable_by(person)
    count = _up_to(_COUNTED, waiting)
    if count.number:
        text = ngettext("%(count)s case is open.", "%(count)s cases are open.", count.number)
        url = links.changelist("inventory_case", state="waiting" if person is None else "of_others", fleet=chosen)
        yield Need("attention", text % {"count": _said(count)}, _("decide as the second person"), url)


def _alerts(fleets: FleetIds, chosen: int | None, may_answer: bool) -> Iterator[Need]:
    alerts = Alert.objects.of_fleets(fleets).waiting().filter(urgency=Urgency.DEVICE)
    count = _up_to(_COUNTED, alerts)
    if not count.number:
        return
    text = ngettext(
        "%(count)s certificate reached its alert threshold.",
        "%(count)s certificates reached their alert thresholds.",
        count.number,
    )
    text %= {"count": _said(count)}
    silent = _up_to(_COUNTED, alerts.filter(level__gt=1))
    if silent.number:
        text += _(" %(climbed)s went unanswered and climbed.") % {"climbed": _said(silent)}
    url = links.changelist("inventory_alert", state="waiting", fleet=chosen)
    step = _("acknowledge or plan a campaign") if may_answer else _("see them")
    yield Need("late" if silent.number else "attention", text, step, url)


def _up_to(most: int, rows: QuerySet[Any]) -> Count:
    number = rows.order_by()[:most].count()
    return Count(number, exact=number < most)


def _said(count: Count) -> str:
    return cells.count(count.number) if count.exact else _("at least %(count)s") % {"count": cells.count(count.number)}
