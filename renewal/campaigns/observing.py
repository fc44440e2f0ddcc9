"""Updates targets from facts: certificates issued, used and revoked, devices out of service. Campaigns only read facts.

A look costs what has happened since the last one (`news`). Now and then every open target is looked at: that finds what
somebody changed past the portal, and proves that nothing was missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction

from inventory.models import Authority, CertificateState, DeviceStatus
from renewal.campaigns import news
from renewal.campaigns.news import Mark
from renewal.models import Campaign, TargetState

log = structlog.get_logger(__name__)

SWEEP_EVERY = timedelta(hours=6)

# A newer standing certificate of the device is what counts, however the device came by it.
_CONFIRMED = """
UPDATE renewal_target target
SET state = %(confirmed)s, renewed_certificate_id = newer.id, issued_at = newer.issued_at,
    confirmed_at = newer.activated_at, next_step_at = NULL
FROM inventory_certificate newer
WHERE target.campaign_id = %(campaign)s AND target.state = ANY(%(open)s) AND {chosen}
  AND newer.id = (
    SELECT c.id FROM inventory_certificate c JOIN inventory_certificate old ON old.device_id = c.device_id
    WHERE old.id = target.certificate_id AND (c.issued_at, c.id) > (old.issued_at, old.id)
      AND c.state = %(certificate_confirmed)s
    ORDER BY c.issued_at DESC, c.id DESC LIMIT 1
  )
"""
# The wait before a reminder starts at the issue: a device may sleep before it uses what it fetched.
_ISSUED = """
UPDATE renewal_target target
SET state = %(issued)s, renewed_certificate_id = newer.id, issued_at = newer.issued_at,
    next_step_at = newer.issued_at + campaign.retry_interval
FROM renewal_campaign campaign, inventory_certificate newer
WHERE target.campaign_id = %(campaign)s AND campaign.id = target.campaign_id
  AND target.state = ANY(%(not_issued)s) AND {chosen}
  -- Who was escalated because this very certificate stayed unused stays with a person.
  AND target.renewed_certificate_id IS DISTINCT FROM newer.id
  AND newer.id = (
    SELECT c.id FROM inventory_certificate c JOIN inventory_certificate old ON old.device_id = c.device_id
    WHERE old.id = target.certificate_id AND (c.issued_at, c.id) > (old.issued_at, old.id)
      AND c.state = %(certificate_issued)s
    ORDER BY c.issued_at DESC, c.id DESC LIMIT 1
  )
"""
# With a certificate of an authority that was revoked no device can renew.
_WITHDRAWN = """
UPDATE renewal_target target
SET state = %(withdrawn)s, next_step_at = NULL
FROM inventory_certificate old, inventory_device device
WHERE target.campaign_id = %(campaign)s AND target.state = ANY(%(open)s) AND {chosen}
  AND old.id = target.certificate_id AND device.id = target.device_id
  AND (old.state = %(certificate_revoked)s OR old.authority_id = ANY(%(revoked_authorities)s)
       OR device.status <> %(in_service)s)
"""
_STATEMENTS = (_CONFIRMED, _ISSUED, _WITHDRAWN)


@dataclass(frozen=True)
class Progress:
    """How many targets moved to each state; `missed`, how many of them only a sweep has found."""

    confirmed: int = 0
    issued: int = 0
    withdrawn: int = 0
    missed: int = 0

    def __add__(self, other: "Progress") -> "Progress":
        return Progress(
            self.confirmed + other.confirmed,
            self.issued + other.issued,
            self.withdrawn + other.withdrawn,
            self.missed + other.missed,
        )

    @property
    def moved(self) -> int:
        return self.confirmed + self.issued + self.withdrawn


def observe(campaign: Campaign, now: datetime) -> Progress:
    """Move the open targets of `campaign` to where their devices are.

    Four queries when nothing has happened, and four more when something has, whatever the number of targets. One
    caller at a time.
    """
    last, swept_at = _last_look(campaign)
    mark = news.look(last)
    progress, in_question = Progress(), True
    with transaction.atomic():
        if last and last.read_to is not None:
            found = news.since(last.read_to, campaign.pk)
            in_question = found.of_any
            if found.targets and not in_question:
                progress = _move(campaign, found.targets)
        if in_question or swept_at is None or now - swept_at >= SWEEP_EVERY:
            progress += _swept(campaign, is_proof=not in_question)
            swept_at = now
        Campaign.objects.filter(pk=campaign.pk).update(
            news_read_to=mark.read_to, news_drawn_to=mark.drawn_to, news_drawn_at=mark.drawn_at, swept_at=swept_at
        )
    return progress


def _last_look(campaign: Campaign) -> tuple[Mark | None, datetime | None]:
    read_to, drawn_to, drawn_at, swept_at = Campaign.objects.values_list(
        "news_read_to", "news_drawn_to", "news_drawn_at", "swept_at"
    ).get(pk=campaign.pk)
    mark = None if drawn_to is None or drawn_at is None else Mark(read_to, drawn_to, drawn_at)
    return mark, swept_at


def _swept(campaign: Campaign, *, is_proof: bool) -> Progress:
    """Look at every open target. As a `is_proof`, everything is expected to be where it belongs already."""
    found = _move(campaign, None)
    if not is_proof or not found.moved:
        return found
    log.warning("targets moved that the log did not tell of", campaign=campaign.pk, targets=found.moved)
    return found + Progress(missed=found.moved)


def _move(campaign: Campaign, targets: Sequence[int] | None) -> Progress:
    """Move those of `targets` that are open, or all that are. Four statements."""
    not_issued = [TargetState.PLANNED.value, TargetState.TRIGGERED.value, TargetState.ESCALATED.value]
    parameters: dict[str, Any] = {
        "campaign": campaign.pk,
        "targets": targets,
        "open": [*not_issued, TargetState.ISSUED.value],
        "not_issued": not_issued,
        "confirmed": TargetState.CONFIRMED.value,
        "issued": TargetState.ISSUED.value,
        "withdrawn": TargetState.WITHDRAWN.value,
        "certificate_confirmed": CertificateState.CONFIRMED.value,
        "certificate_issued": CertificateState.ISSUED.value,
        "certificate_revoked": CertificateState.REVOKED.value,
        "revoked_authorities": Authority.objects.revoked_ids(),
        "in_service": DeviceStatus.IN_SERVICE.value,
    }
    chosen = "true" if targets is None else "target.id = ANY(%(targets)s::bigint[])"
    with connection.cursor() as cursor:
        moved = []
        for statement in _STATEMENTS:
            cursor.execute(statement.format(chosen=chosen), parameters)
            moved.append(cursor.rowcount)
    return Progress(*moved)
