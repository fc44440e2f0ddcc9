"""What changed in the last day, in one line."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from certportal.dashboard.scope import Scope
from inventory.admin import cells, links
from inventory.models import AuditAction, AuditEvent, CliffNotice
from revocation.freshness import Freshness

_SPAN = timedelta(days=1)
# In the order of the line: what the portal was asked to do, then what it refused, and what it left to people.
_TOLD: dict[AuditAction, Callable[[int], str]] = {
    AuditAction.DEVICE_REGISTERED: lambda number: ngettext("device", "devices", number),
    AuditAction.CERTIFICATE_ENROLLED: lambda number: ngettext("first certificate", "first certificates", number),
    AuditAction.CERTIFICATE_RENEWED: lambda _number: _("renewed"),
    AuditAction.RENEWAL_REFUSED: lambda number: ngettext("renewal refused", "renewals refused", number),
    AuditAction.ENROLMENT_REFUSED: lambda number: ngettext("enrolment refused", "enrolments refused", number),
    AuditAction.CERTIFICATE_REVOKED: lambda _number: _("revoked"),
    AuditAction.WORK_ORDER_OPENED: lambda number: ngettext("work order", "work orders", number),
}


@dataclass(frozen=True)
class Change:
    """How often something happened, in words, and its rows."""

    text: str
    url: str
    tone: str = "neutral"


def read(scope: Scope, now: datetime, crls: list[Freshness]) -> list[Change]:
    """Return the changes that the person may see, none that did not happen. Two queries; rows: the events of a day."""
    since = _minute(now - _SPAN)
    found: list[Change] = []
    if scope.may("inventory.view_auditevent"):
        found += _happened(scope, since)
    if scope.may("inventory.view_certificate"):
        found += _new_cliffs(scope, since)
    if scope.may("revocation.view_crl"):
        found += _late_crls(crls, now)
    return found


def _minute(at: datetime) -> datetime:
    """Return the full minute before: what an address says, and whoever opens it sees the same rows."""
    return at.astimezone(UTC).replace(second=0, microsecond=0)


def _happened(scope: Scope, since: datetime) -> Iterator[Change]:
    events = AuditEvent.objects.of_fleets(scope.fleets).filter(action__in=_TOLD, at__gte=since)
    counts = dict(events.order_by().values_list("action").annotate(Count("id")))
    for action, words in _TOLD.items():
        if number := counts.get(action, 0):
            url = links.audit(action=action.value, at__gte=links.moment(since), device__fleet=scope.fleet_id)
            yield Change(f"+{cells.count(number)} {words(number)}", url)


def _new_cliffs(scope: Scope, since: datetime) -> Iterator[Change]:
    notices = CliffNotice.objects.filter(noticed_at__gte=since).order_by("day")
    if scope.fleets is not None:
        notices = notices.filter(fleet__in=scope.fleets)
    cliffs = list(notices.values_list("fleet_id", "day"))
    if cliffs:
        text = ngettext("%(count)s new cliff", "%(count)s new cliffs", len(cliffs))
        # One by its rows; of several the map shows each.
        rows = links.standing_on(*cliffs[0]) if len(cliffs) == 1 else "#map"
        yield Change(text % {"count": cells.count(len(cliffs))}, rows, "attention")


def _late_crls(crls: list[Freshness], now: datetime) -> Iterator[Change]:
    late = sum(crl.late(now) for crl in crls)
    if late:
        text = ngettext("%(count)s CRL late", "%(count)s CRLs late", late)
        yield Change(text % {"count": cells.count(late)}, links.changelist("revocation_crl"), "late")
