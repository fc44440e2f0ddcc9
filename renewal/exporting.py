"""What exports of campaigns hold."""

from collections.abc import Sequence
from datetime import datetime

from inventory.lists.exports import Column, Listing, moment, plain, text


def _targets(now: datetime) -> Sequence[Column]:
    return [
        plain("id"), plain("campaign", "campaign_id"), text("campaign_name", "campaign__name"),
        text("fleet", "device__fleet__slug"), text("device", "device__serial"), text("site", "device__site__name"),
        text("phone_number", "device__phone_number"), plain("state"), plain("reason"), plain("attempts_made"),
        plain("channel"), moment("triggered_at"), moment("acknowledged_at"), moment("issued_at"),
        moment("confirmed_at"), moment("escalated_at"),
        plain("certificate", "certificate__serial"), moment("certificate_ends", "ends_at"),
        moment("last_seen_at", "device__presence__last_seen_at"),
    ]  # fmt: skip


TARGETS = Listing("targets", _targets)
