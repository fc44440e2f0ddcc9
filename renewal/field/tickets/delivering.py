"""One ticket for each work order, whatever happens on the way; it is closed when the order is.

A try is written down before it is made: after a crash or a lost answer the ticket is looked for before another is made.
A system that answers late has the time until the next try.
"""

import json
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db import connection as database
from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _

from inventory.alerts.channels import http
from renewal.field.addresses import page_of
from renewal.field.tickets.configured import Connection
from renewal.field.tickets.systems import Known, Request, Text
from renewal.models import Ticket, WorkOrder

# Longer than a try takes, and than a system may go on with a request that we no longer wait for.
_FIRST_WAIT = timedelta(minutes=5)
_LONGEST_WAIT = timedelta(hours=6)
_DOUBLINGS = 7
_MOST_OF_AN_ANSWER = 1 << 16
_MISSING = """
INSERT INTO renewal_ticket (order_id, correlation_id, key, reference, tries, next_try_at, problem)
SELECT o.id, gen_random_uuid(), '', '', 0, %s, '' FROM renewal_workorder o
WHERE o.closed_at IS NULL AND NOT EXISTS (SELECT FROM renewal_ticket ticket WHERE ticket.order_id = o.id)
ON CONFLICT (order_id) DO NOTHING
"""


class _NotTaken(Exception):
    """The system did not do what it was asked; the text says why."""


def note_due(now: datetime) -> int:
    """Note which tickets are to be made or closed; return how many are due. Three statements."""
    with database.cursor() as cursor:
        cursor.execute(_MISSING, [now])
    ended = Q(order__closed_at__isnull=False, opened_at__isnull=False, closed_at=None, next_try_at=None)
    Ticket.objects.filter(ended).update(next_try_at=now)
    return Ticket.objects.filter(next_try_at__lte=now).count()


def deliver_next(connection: Connection, now: datetime, seconds: float) -> bool:
    """Make or close the ticket that is due first. Returns False when none is, or the system does not answer at all.

    Safe with several workers: whoever takes a ticket has it for some minutes. `seconds`: longest wait for an answer.
    """
    ticket = _taken(now)
    if ticket is None:
        return False
    try:
        _bring_up_to_date(ticket, connection, now, seconds)
    except _NotTaken as problem:
        Ticket.objects.filter(pk=ticket.pk).update(problem=str(problem)[:300])
        return not isinstance(problem.__cause__, _Silence)
    Ticket.objects.filter(pk=ticket.pk).update(problem="", tries=0, next_try_at=None)
    return True


def _taken(now: datetime) -> Ticket | None:
    with transaction.atomic():
        due = Ticket.objects.filter(next_try_at__lte=now).order_by("next_try_at", "pk")
        ticket = due.select_for_update(skip_locked=True, of=("self",)).first()
        if ticket is None:
            return None
        wait = min(_FIRST_WAIT * 2 ** min(ticket.tries, _DOUBLINGS), _LONGEST_WAIT)
        Ticket.objects.filter(pk=ticket.pk).update(tries=F("tries") + 1, next_try_at=now + wait)
    return ticket


def _bring_up_to_date(ticket: Ticket, connection: Connection, now: datetime, seconds: float) -> None:
    """Raises _NotTaken."""
    order = WorkOrder.objects.select_related("device__site", "device__fleet", "target").get(pk=ticket.order_id)
    if ticket.opened_at is None:
        known = _known(ticket, order, connection, seconds)
        if known is None:
            return
        Ticket.objects.filter(pk=ticket.pk).update(opened_at=now, key=known.key, reference=known.reference)
        ticket.reference = known.reference
    if order.closed_at is not None and ticket.closed_at is None:
        why = ". ".join(filter(None, [str(order.get_outcome_display()), order.note, order.replaced_by]))
        _sent(connection.system.close(ticket.reference, why), ticket, connection, seconds)
        Ticket.objects.filter(pk=ticket.pk).update(closed_at=now)


def _known(ticket: Ticket, order: WorkOrder, connection: Connection, seconds: float) -> Known | None:
    """Return the ticket, found or made; None when the order ended before it had one. Raises _NotTaken."""
    system = connection.system
    try:
        # What was never tried is not there; the number of tries was read before this one was written down.
        if ticket.tries and (
            found := system.found(_sent(system.find(ticket.correlation_id), ticket, connection, seconds))
        ):
            return found
        if order.closed_at is not None:
            return None
        return system.created(_sent(system.create(ticket.correlation_id, _text(order)), ticket, connection, seconds))
    except ValueError as error:
        raise _NotTaken(_("The ticket system answered something else: %(problem)s") % {"problem": error}) from error


class _Silence(Exception):
    """No answer came."""


def _sent(request: Request, ticket: Ticket, connection: Connection, seconds: float) -> bytes:
    """Return the body of the answer. Raises _NotTaken."""
    headers = {"Accept": "application/json"}
    if connection.authorization:
        headers["Authorization"] = connection.authorization
    if request.method == "POST":
        # For gateways in between that know it.
        headers["Idempotency-Key"] = str(ticket.correlation_id)
    body = b"" if request.body is None else json.dumps(request.body).encode()
    if body:
        headers["Content-Type"] = "application/json"
    address = connection.address.rstrip("/") + request.path
    try:
        answer = http.request(request.method, address, body, headers, seconds, most_bytes=_MOST_OF_AN_ANSWER)
    except (http.NotSent, http.NoAnswer) as problem:
        raise _NotTaken(str(problem)[:300]) from _Silence()
    if not 200 <= answer.status < 300:
        raise _NotTaken(f"{urlsplit(address).hostname} answered {answer.status}")
    return answer.body


def _text(order: WorkOrder) -> Text:
    device = order.device
    words = {"device": device.serial, "site": device.site.name if device.site else _("without a site")}
    lines = [
        _("The device answered on no channel, and its certificate ends on %(day)s.") % {"day": order.due_at.date()},
        _("Go from %(day)s on: until then it may come back by itself.") % {"day": order.go_from.date()},
        _("Fleet: %(fleet)s") % {"fleet": device.fleet.name},
        _("Place: %(latitude)s, %(longitude)s") % {"latitude": device.latitude, "longitude": device.longitude}
        if device.latitude is not None
        else _("Place: nobody knows"),
        _("Attempts: %(count)s") % {"count": order.target.attempts_made},
        page_of(order.pk),
    ]
    return Text(_("Visit device %(device)s, %(site)s") % words, "\n".join(lines), order.due_at.date())
