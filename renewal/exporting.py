"""What exports of campaigns hold."""

from collections.abc import Sequence
from datetime import datetime

from inventory.lists.exports import Column, Listing, moment, plain, text


def _targets(now: datetime) -> Sequence[Column]:
    return [
        plain("id"), plain("campaign", "campaign_id"), text("campaign_name", "campaign__name"),
        text("fleet", "device__fleet__slug"), text("device", "device__serial"), text("site", "device__site__name"),
        text("phone_number", "device__phone_number"), plain("state"), plain("attempts_made"), moment("next_step_at"),
        moment("triggered_at"), moment("issued_at"), moment("confirmed_at"), moment("escalated_at"),
        plain("certificate", "certificate__serial"), moment("certificate_ends", "certificate__not_after"),
        moment("last_seen_at", "device__presence__last_seen_at"),
    ]  # fmt: skip


TARGETS = Listing("targets", _targets)
