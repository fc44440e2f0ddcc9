"""Closing work orders: by themselves when the device has renewed or needs nothing more, by hand with an outcome."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import gettext as _

from inventory.audit.record import SYSTEM, Actor, event, record, record_selected
from inventory.devices import registration
from inventory.formats import device_fields
from inventory.models import AuditAction, CertificateState, Device, DeviceStatus
from renewal.field.refused import Refused
from renewal.models import DeviceNote, Outcome, TargetState, WorkOrder
from renewal.models.work_order import BY_HAND, LONGEST_NOTE

# The device's first use of any certificate issued after the one that the order is about.
_RENEWED = """
    EXISTS (SELECT FROM inventory_certificate c WHERE c.device_id = o.device_id
            AND (c.issued_at, c.id) > (old.issued_at, old.id) AND c.state = %(confirmed)s)"""
_FINISHED = f"""
    SELECT o.id, {_RENEWED} FROM renewal_workorder o
    JOIN renewal_target target ON target.id = o.target_id
    JOIN inventory_certificate old ON old.id = target.certificate_id
    WHERE o.closed_at IS NULL AND (target.state = %(withdrawn)s OR {_RENEWED})
    ORDER BY o.id FOR UPDATE OF o SKIP LOCKED"""  # noqa: S608  # put together from constants
_CLOSED = """
    SELECT o.closed_at AS at, device.serial AS object_name, o.device_id, target.certificate_id,
           jsonb_build_object('order', o.id, 'outcome', o.outcome) AS details
    FROM renewal_workorder o
    JOIN renewal_target target ON target.id = o.target_id JOIN inventory_device device ON device.id = o.device_id
    WHERE o.id = ANY(%s)"""


@dataclass(frozen=True)
class Closed:
    """How many orders closed by themselves."""

    renewed: int = 0
    withdrawn: int = 0


def close_renewed(now: datetime) -> Closed:
    """Close the open orders whose device has used a new certificate, or whose target was withdrawn.

    One statement that reads the open orders, and three more for those it finds. Safe with several callers.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _FINISHED,
            {"confirmed": CertificateState.CONFIRMED.value, "withdrawn": TargetState.WITHDRAWN.value},
        )
        found = cursor.fetchall()
        if not found:
            return Closed()
        renewed = [pk for pk, has_renewed in found if has_renewed]
        withdrawn = [pk for pk, has_renewed in found if not has_renewed]
        for outcome, orders in ((Outcome.RENEWED, renewed), (Outcome.WITHDRAWN, withdrawn)):
            WorkOrder.objects.filter(pk__in=orders).update(outcome=outcome, closed_at=now)
        record_selected(AuditAction.WORK_ORDER_CLOSED, _CLOSED, [[*renewed, *withdrawn]], actor=SYSTEM)
    return Closed(len(renewed), len(withdrawn))


@dataclass(frozen=True)
class Finding:
    """What somebody found on the spot. `key` is made by who says it: said twice, it counts once."""

    outcome: Outcome
    note: str = ""
    replaced_by: str = ""
    key: UUID | None = None


def close(order_id: int, finding: Finding, *, now: datetime, actor: Actor) -> WorkOrder | Refused:
    """Close an open order, tell the device's record, and write the audit log, in one transaction.

    A decommissioned or replaced device is retired; a dead zone, or which device stands there now, is noted on it. Said
    again under the same key, the answer is the order as it was closed. At most twenty statements.
    """
    with transaction.atomic():
        order = WorkOrder.objects.select_related("device", "target").select_for_update(of=("self",)).get(pk=order_id)
        if order.closed_at is not None:
            said_again = finding.key is not None and order.close_key == finding.key
            return order if said_again else _closed_already(order)
        if refusal := _why_not(order.device, finding):
            return refusal
        order.outcome, order.note, order.replaced_by = finding.outcome.value, finding.note, finding.replaced_by
        order.close_key, order.closed_at, order.closed_by = finding.key, now, actor.name[:150]
        order.save(update_fields=["outcome", "note", "replaced_by", "close_key", "closed_at", "closed_by"])
        details = {"order": order.pk, "outcome": order.outcome, "note": order.note, "replaced_by": order.replaced_by}
        details = {name: value for name, value in details.items() if value}
        action, device = AuditAction.WORK_ORDER_CLOSED, order.device
        record([event(action, now=now, actor=actor, object_name=device.serial, device=device, details=details)])
        _tell_device(order, finding, now, actor)
    return order


def _closed_already(order: WorkOrder) -> Refused:
    words = {"outcome": order.get_outcome_display(), "who": order.closed_by or "certportal"}
    text = _("The order is closed already: %(outcome)s, by %(who)s. Nothing was changed; write to your dispatcher.")
    return Refused(text % words)


def _why_not(device: Device, finding: Finding) -> Refused | None:
    if finding.outcome not in BY_HAND:
        return Refused(_("Orders close with this outcome by themselves; choose what you found."), "outcome")
    if len(finding.note) > LONGEST_NOTE:
        return Refused(_("A note has at most %(most)s characters.") % {"most": LONGEST_NOTE}, "note")
    if finding.outcome != Outcome.REPLACED:
        wrong = _("Only a replaced device has a successor; leave its serial number out.")
        return Refused(wrong, "replaced_by") if finding.replaced_by else None
    if not device_fields.SERIAL.fullmatch(finding.replaced_by):
        return Refused(_("Give the serial number of the new device, as its label says."), "replaced_by")
    if finding.replaced_by == device.serial:
        return Refused(_("This is the serial number of the old device; give that of the new one."), "replaced_by")
    return None


def _tell_device(order: WorkOrder, finding: Finding, now: datetime, actor: Actor) -> None:
    noted: dict[str, Any] = {}
    match finding.outcome:
        case Outcome.DEAD_ZONE:
            noted = {"dead_zone_since": now}
        case Outcome.REPLACED:
            noted = {"replaced_by": finding.replaced_by}
        case Outcome.RENEWED_ON_SITE:
            # Whoever renewed it there over the network has shown that there is one.
            DeviceNote.objects.in_dead_zones().filter(device=order.device_id).update(dead_zone_since=None)
    if noted:
        DeviceNote.objects.update_or_create(device_id=order.device_id, defaults=noted)
    if finding.outcome in {Outcome.DECOMMISSIONED, Outcome.REPLACED}:
        retired = registration.Change({"status": DeviceStatus.RETIRED.value}, id=order.device_id)
        registration.change({0: retired}, now, actor)
