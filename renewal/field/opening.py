"""Opening work orders: for the devices that answered on no channel and whose certificate ends soon."""

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Case, DateTimeField, DurationField, Exists, ExpressionWrapper, F, OuterRef, Q, Value, When
from django.db.models.functions import Greatest

from inventory.audit.record import SYSTEM, record_selected
from inventory.models import AuditAction
from renewal.field import healing
from renewal.models import CampaignState, Target, TargetState, WorkOrder
from renewal.models.campaign import GIVEN_UP_STATES, TargetQuerySet

# A device was asked over every channel and gave no sign: neither an acknowledgement nor a request nor a certificate.
_SILENT = Q(state=TargetState.TRIGGERED, unanswered=True) | Q(state__in=GIVEN_UP_STATES)

# Whom no message reaches where it stands, whom none was sent to, and those of whom few come back.
_HOPELESS = Q(device__note__dead_zone_since__isnull=False) | Q(triggered_at=None) | Q(share__lt=healing.RARE)

_COLUMNS = "target_id, device_id, due_at, opened_at, go_from, closed_by, outcome, note, replaced_by"
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


def without_order(now: datetime, lead: timedelta) -> TargetQuerySet:
    """Return the silent targets that never had an order."""
    return silent(now, lead).exclude(Exists(WorkOrder.objects.filter(target=OuterRef("pk"))))


def open_due(now: datetime, lead: timedelta, visit_span: timedelta) -> int:
    """Open an order for each silent target that has none yet; return how many. Two statements, or one for none.

    A device that may come back by itself is left alone until `visit_span` before its certificate ends, which the team
    needs to be there in time. Safe with several callers: of two orders for one target the second is not made. A target
    whose order was closed gets no second one.
    """
    at_once = Value(now, DateTimeField())
    in_time = ExpressionWrapper(F("ends_at") - Value(visit_span, DurationField()), DateTimeField())
    go_from = Case(When(_HOPELESS, then=at_once), default=Greatest(at_once, in_time))
    missing = without_order(now, lead).annotate(share=healing.share_of_target(now))
    rows = missing.order_by("ends_at", "pk").values_list(
        F("pk"), F("device_id"), F("ends_at"), at_once, go_from, *[Value("")] * 4
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
