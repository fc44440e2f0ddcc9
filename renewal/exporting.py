"""What exports of campaigns and of work orders hold."""

from collections.abc import Sequence
from datetime import datetime

from inventory.lists.exports import Column, Listing, moment, plain, text


def _targets(now: datetime) -> Sequence[Column]:
    return [
        plain("id"), plain("campaign", "campaign_id"), text("campaign_name", "campaign__name"),
        text("fleet", "device__fleet__slug"), text("device", "device__serial"), text("site", "device__site__name"),
        text("phone_number", "device__phone_number"), plain("wave"), plain("state"), plain("reason"), plain("refusal"),
        plain("attempts_made"), plain("channel"), moment("triggered_at"), moment("acknowledged_at"),
        moment("issued_at"),
        moment("confirmed_at"), moment("escalated_at"),
        plain("certificate", "certificate__serial"), moment("certificate_ends", "ends_at"),
        moment("last_seen_at", "device__presence__last_seen_at"),
    ]  # fmt: skip


TARGETS = Listing("targets", _targets)


def _work_orders(now: datetime) -> Sequence[Column]:
    return [
        plain("id"), text("fleet", "device__fleet__slug"), text("device", "device__serial"),
        text("site", "device__site__name"), plain("latitude", "device__latitude"),
        plain("longitude", "device__longitude"), moment("due_at"), moment("go_from"),
        moment("last_seen_at", "device__presence__last_seen_at"),
        plain("attempts_made", "target__attempts_made"), text("phone_number", "device__phone_number"),
        text("model", "device__note__model"), text("battery", "device__note__battery"),
        text("sim", "device__note__sim"),
        moment("dead_zone_since", "device__note__dead_zone_since"), text("campaign", "target__campaign__name"),
        text("team", "team__name"), text("assigned_to", "assigned_to__username"), moment("opened_at"),
        moment("closed_at"), text("closed_by"), plain("outcome"), text("note"), text("replaced_by"),
        text("ticket", "ticket__key"),
    ]  # fmt: skip


WORK_ORDERS = Listing("work-orders", _work_orders)
