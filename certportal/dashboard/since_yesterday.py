"""What changed in the last day, in one line."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from certportal.dashboard.scope import Scope
from inventory.admin import cells, links
from inventory.expiry.cliffs import start_of
from inventory.models import AuditAction, AuditEvent, CliffNotice
from revocation.freshness import Freshness

_SPAN = timedelta(days=1)
# In the order of the line. What the portal was asked to do first, then what it refused and left to people.
_TOLD = (
    AuditAction.DEVICE_REGISTERED,
    AuditAction.CERTIFICATE_ENROLLED,
    AuditAction.CERTIFICATE_RENEWED,
    AuditAction.RENEWAL_REFUSED,
    AuditAction.ENROLMENT_REFUSED,
    AuditAction.CERTIFICATE_REVOKED,
    AuditAction.WORK_ORDER_OPENED,
)


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
    for action in _TOLD:
        if number := counts.get(action, 0):
            url = links.audit(action=action.value, at__gte=links.moment(since), device__fleet=scope.fleet_id)
            yield Change(f"+{cells.count(number)} {_words(action, number)}", url)


def _words(action: AuditAction, number: int) -> str:
    match action:
        case AuditAction.DEVICE_REGISTERED:
            return ngettext("device", "devices", number)
        case AuditAction.CERTIFICATE_ENROLLED:
            return ngettext("first certificate", "first certificates", number)
        case AuditAction.CERTIFICATE_RENEWED:
            return _("renewed")
        case AuditAction.RENEWAL_REFUSED:
            return ngettext("renewal refused", "renewals refused", number)
        case AuditAction.ENROLMENT_REFUSED:
            return ngettext("enrolment refused", "enrolments refused", number)
        case AuditAction.CERTIFICATE_REVOKED:
            return _("revoked")
        case _:
            return ngettext("work order", "work orders", number)


def _new_cliffs(scope: Scope, since: datetime) -> Iterator[Change]:
    notices = CliffNotice.objects.filter(noticed_at__gte=since).order_by("day")
    if scope.fleets is not None:
        notices = notices.filter(fleet__in=scope.fleets)
    cliffs = list(notices.values_list("fleet_id", "day"))
    if cliffs:
        text = ngettext("%(count)s new cliff", "%(count)s new cliffs", len(cliffs))
        # One by its rows; of several the map shows each.
        fleet, day = cliffs[0]
        rows = links.certificates(
            state="standing", fleet=fleet, expires_from=start_of(day), expires_before=start_of(day) + _SPAN
        )
        yield Change(text % {"count": cells.count(len(cliffs))}, rows if len(cliffs) == 1 else "#map", "attention")


def _late_crls(crls: list[Freshness], now: datetime) -> Iterator[Change]:
    late = sum(crl.late(now) for crl in crls)
    if late:
        text = ngettext("%(count)s CRL late", "%(count)s CRLs late", late)
        yield Change(text % {"count": cells.count(late)}, links.changelist("revocation_crl"), "late")
