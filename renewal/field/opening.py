"""Opening work orders: for the devices that answered on no channel and whose certificate ends soon."""

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import DateTimeField, Exists, F, OuterRef, Q, Value

from inventory.audit.record import SYSTEM, record_selected
from inventory.models import AuditAction
from renewal.models import CampaignState, Target, TargetState, WorkOrder
from renewal.models.campaign import GIVEN_UP_STATES, TargetQuerySet

# A device was asked over every channel and gave no sign: neither an acknowledgement nor a request nor a certificate.
_SILENT = Q(state=TargetState.TRIGGERED, unanswered=True) | Q(state__in=GIVEN_UP_STATES)

_COLUMNS = "target_id, device_id, due_at, opened_at, closed_by, outcome, note, replaced_by"
_OPENED = """
    SELECT o.opened_at AS at, device.serial AS object_name, o.device_id, target.certificate_id,
           jsonb_build_object('order', o.id, 'due_at', o.due_at) AS details
    FROM renewal_workorder o
    JOIN renewal_target target ON target.id = o.target_id JOIN inventory_device device ON device.id = o.device_id
    WHERE o.id = ANY(%s)"""


def silent(now: datetime, lead: timedelta) -> TargetQuerySet:
    """Return the targets whose devices need a visit: silent, of running campaigns, ending within `lead` or ended.

    An escalated target with a new certificate has one that it never used, so its device has answered.
    """
    return Target.objects.filter(
        _SILENT,
        campaign__state=CampaignState.RUNNING,
        renewed_certificate__isnull=True,
        ends_at__lte=now + lead,
    )


def open_due(now: datetime, lead: timedelta) -> int:
    """Open an order for each silent target that has none yet; return how many. Two statements, or one for none.

    Safe with several callers: of two orders for one target the second is not made. A target whose order was closed
    gets no second one.
    """
    missing = silent(now, lead).exclude(Exists(WorkOrder.objects.filter(target=OuterRef("pk"))))
    rows = missing.order_by("ends_at", "pk").values_list(
        F("pk"), F("device_id"), F("ends_at"), Value(now, DateTimeField()), *[Value("")] * 4
    )
    select, parameters = rows.query.sql_with_params()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO renewal_workorder ({_COLUMNS}) {select} ON CONFLICT (target_id) DO NOTHING RETURNING id",
            parameters,
        )
        opened = [pk for (pk,) in cursor.fetchall()]
        if opened:
            record_selected(AuditAction.WORK_ORDER_OPENED, _OPENED, [opened], actor=SYSTEM)
    return len(opened)
