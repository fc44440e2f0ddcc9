"""Giving work orders to a team, and to one of its people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from inventory.audit.record import Actor, record_selected
from inventory.models import AuditAction
from renewal.field.refused import Refused
from renewal.models import Team, WorkOrder

_ASSIGNED = """
    SELECT o.assigned_at AS at, device.serial AS object_name, o.device_id, NULL::bigint AS certificate_id,
           jsonb_build_object('order', o.id, 'team', team.name, 'assigned_to', person.username) AS details
    FROM renewal_workorder o JOIN inventory_device device ON device.id = o.device_id
    JOIN renewal_team team ON team.id = o.team_id LEFT JOIN certportal_user person ON person.id = o.assigned_to_id
    WHERE o.id = ANY(%s)"""


def assign(orders: Sequence[int], team: Team, person: Any | None, *, now: datetime, actor: Actor) -> int | Refused:
    """Give those of `orders` that are open to `team`, and to `person` of it or to nobody in particular.

    Returns how many were given to somebody else than had them before. Five statements whatever their number.
    """
    if person is not None and not team.members.filter(pk=person.pk).exists():
        words = {"person": person.get_username(), "team": team.name}
        return Refused(_("%(person)s is not in team “%(team)s”; choose one of its members.") % words, "assigned_to")
    with transaction.atomic():
        chosen = WorkOrder.objects.open().filter(pk__in=orders).order_by("pk").select_for_update(of=("self",))
        rows = list(chosen.values_list("pk", "device__fleet_id", "team_id", "assigned_to_id"))
        strangers = sum(fleet != team.fleet_id for _pk, fleet, _team, _person in rows)
        if strangers:
            words = {"count": strangers, "fleet": team.fleet.name, "team": team.name}
            text = _(
                "%(count)s of these orders are not of fleet “%(fleet)s”, the one of team “%(team)s”. Leave them out."
            )
            return Refused(text % words, "team")
        new = (team.pk, person.pk if person else None)
        given = [pk for pk, _fleet, *now_has in rows if tuple(now_has) != new]
        WorkOrder.objects.filter(pk__in=given).update(team=team, assigned_to=person, assigned_at=now)
        if given:
            record_selected(AuditAction.WORK_ORDER_ASSIGNED, _ASSIGNED, [given], actor=actor)
    return len(given)
