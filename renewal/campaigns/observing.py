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

from inventory.models import AuditAction, Authority, CertificateState, DeviceStatus
from renewal.campaigns import news
from renewal.campaigns.ladder import LONGEST_WAIT, Ladder
from renewal.campaigns.moving import moving
from renewal.campaigns.news import Mark
from renewal.models import Campaign, TargetReason, TargetState

log = structlog.get_logger(__name__)

SWEEP_EVERY = timedelta(hours=6)

# A newer standing certificate of the device is what counts, however the device came by it.
_CONFIRMED = """
UPDATE renewal_target target
SET state = %(confirmed)s, reason = '', refusal = '', renewed_certificate_id = newer.id, issued_at = newer.issued_at,
    confirmed_at = newer.activated_at, next_step_at = NULL, channel = '', wake_expected_at = NULL
FROM inventory_certificate newer
WHERE target.campaign_id = %(campaign)s AND target.state = ANY(%(open)s) AND target.id = ANY(%(targets)s::bigint[])
  AND newer.id = (
    SELECT c.id FROM inventory_certificate c JOIN inventory_certificate old ON old.device_id = c.device_id
    WHERE old.id = target.certificate_id AND (c.issued_at, c.id) > (old.issued_at, old.id)
      AND c.state = %(certificate_confirmed)s
    ORDER BY c.issued_at DESC, c.id DESC LIMIT 1
  )
"""
# The ladder begins anew, for reminders. The wait before the first starts at the issue: a device may sleep before it
# uses what it fetched.
_ISSUED = """
UPDATE renewal_target target
SET state = %(issued)s, reason = '', refusal = '', renewed_certificate_id = newer.id, issued_at = newer.issued_at,
    rung = 0, rung_attempts = 0, unanswered = false, wake_expected_at = NULL, channel = coalesce(first.channel, ''),
    next_step_at = least(newer.issued_at, campaign.paused_at) - campaign.paused_for
        + coalesce(first.patience, %(longest)s::interval)
FROM renewal_campaign campaign, inventory_certificate newer, inventory_device device
LEFT JOIN unnest(%(classes)s::varchar[], %(channels)s::varchar[], %(patiences)s::interval[])
    AS first (connectivity, channel, patience) USING (connectivity)
WHERE target.campaign_id = %(campaign)s AND campaign.id = target.campaign_id AND device.id = target.device_id
  AND target.state = ANY(%(not_issued)s) AND target.id = ANY(%(targets)s::bigint[])
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
SET state = %(withdrawn)s, next_step_at = NULL, channel = '', wake_expected_at = NULL,
    reason = CASE WHEN old.state = %(certificate_revoked)s THEN %(revoked)s
                  WHEN device.status <> %(in_service)s THEN %(out_of_service)s
                  ELSE %(issuer_revoked)s END
FROM inventory_certificate old, inventory_device device
WHERE target.campaign_id = %(campaign)s AND target.state = ANY(%(open)s) AND target.id = ANY(%(targets)s::bigint[])
  AND old.id = target.certificate_id AND device.id = target.device_id
  AND (old.state = %(certificate_revoked)s OR old.authority_id = ANY(%(revoked_authorities)s)
       OR device.status <> %(in_service)s)
"""
# Of those that are left where they were: why the gate gave their devices no certificate since the last look.
_REFUSED = """
UPDATE renewal_target target SET refusal = told.reason
FROM (
    SELECT DISTINCT ON (device_id) device_id, details ->> 'reason' AS reason FROM inventory_auditevent
    WHERE action = %(renewal_refused)s AND at >= %(started_at)s AND {told} AND device_id IS NOT NULL
    ORDER BY device_id, id DESC
) told
WHERE target.campaign_id = %(campaign)s AND target.device_id = told.device_id AND {chosen}
  AND target.state = ANY(%(not_issued)s) AND target.refusal <> told.reason
"""
_STATEMENTS = tuple(moving(update) for update in (_CONFIRMED, _ISSUED, _WITHDRAWN))
# What a sweep looks at more closely: all that the statements above would move. Most open targets are those of silent
# devices, of each of which this reads one entry of an index, and not twice all of its certificates.
_IN_QUESTION = """
SELECT target.id FROM renewal_target target
WHERE target.campaign_id = %(campaign)s AND target.state = ANY(%(open)s) AND EXISTS (
    SELECT FROM inventory_certificate c
    WHERE c.device_id = target.device_id AND c.id <> target.certificate_id
      AND (c.state = %(certificate_confirmed)s
           OR c.state = %(certificate_issued)s AND target.renewed_certificate_id IS DISTINCT FROM c.id)
)
UNION
SELECT target.id FROM renewal_target target JOIN inventory_device device ON device.id = target.device_id
WHERE target.campaign_id = %(campaign)s AND target.state = ANY(%(open)s) AND device.status <> %(in_service)s
UNION
SELECT target.id FROM renewal_target target JOIN inventory_certificate old ON old.id = target.certificate_id
WHERE target.campaign_id = %(campaign)s AND target.state = ANY(%(open)s) AND old.state = %(certificate_revoked)s
UNION
SELECT target.id FROM renewal_target target JOIN inventory_certificate old ON old.id = target.certificate_id
WHERE target.campaign_id = %(campaign)s AND target.state = ANY(%(open)s)
  AND old.authority_id = ANY(%(revoked_authorities)s)"""
_NOT_ISSUED = (
    TargetState.PLANNED,
    TargetState.TRIGGERED,
    TargetState.ACKNOWLEDGED,
    TargetState.ESCALATED,
    TargetState.FAILED,
)


@dataclass(frozen=True)
class Progress:
    """How many targets moved to each state; `missed`, how many of them only a sweep has found.

    `refused`: how many of those that stayed were refused by the gate.
    """

    confirmed: int = 0
    issued: int = 0
    withdrawn: int = 0
    missed: int = 0
    refused: int = 0

    def __add__(self, other: "Progress") -> "Progress":
        return Progress(
            self.confirmed + other.confirmed,
            self.issued + other.issued,
            self.withdrawn + other.withdrawn,
            self.missed + other.missed,
            self.refused + other.refused,
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
                progress = _move(campaign, found.targets, last.read_to, now)
        if in_question or swept_at is None or now - swept_at >= SWEEP_EVERY:
            progress += _swept(campaign, now, is_proof=not in_question)
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


def _swept(campaign: Campaign, now: datetime, *, is_proof: bool) -> Progress:
    """Look at every open target. As a `is_proof`, everything is expected to be where it belongs already."""
    found = _move(campaign, None, None, now)
    if not is_proof or not found.moved:
        return found
    log.warning("targets moved that the log did not tell of", campaign=campaign.pk, targets=found.moved)
    return found + Progress(missed=found.moved)


def _move(campaign: Campaign, targets: Sequence[int] | None, read_to: int | None, now: datetime) -> Progress:
    """Move those of `targets` that are open, or all that are, and mark those refused.

    Five statements; of all, three where nothing is to be moved. `read_to`: refusals up to that number of the log are
    marked already.
    """
    firsts = {name: rungs[0] for name, rungs in Ladder.from_json(campaign.ladder).rungs.items() if rungs}
    not_issued = [state.value for state in _NOT_ISSUED]
    parameters: dict[str, Any] = {
        "campaign": campaign.pk,
        "now": now,
        "targets": targets,
        "open": [*not_issued, TargetState.ISSUED.value],
        "not_issued": not_issued,
        "confirmed": TargetState.CONFIRMED.value,
        "issued": TargetState.ISSUED.value,
        "withdrawn": TargetState.WITHDRAWN.value,
        "revoked": TargetReason.REVOKED.value,
        "out_of_service": TargetReason.OUT_OF_SERVICE.value,
        "issuer_revoked": TargetReason.ISSUER_REVOKED.value,
        "classes": [connectivity.value for connectivity in firsts],
        "channels": [rung.channel.value for rung in firsts.values()],
        "patiences": [rung.patience for rung in firsts.values()],
        "longest": LONGEST_WAIT,
        "certificate_confirmed": CertificateState.CONFIRMED.value,
        "certificate_issued": CertificateState.ISSUED.value,
        "certificate_revoked": CertificateState.REVOKED.value,
        "revoked_authorities": Authority.objects.revoked_ids(),
        "in_service": DeviceStatus.IN_SERVICE.value,
        "renewal_refused": AuditAction.RENEWAL_REFUSED.value,
        "started_at": campaign.started_at,
        "read_to": read_to,
    }
    of_these = "true" if targets is None else "target.id = ANY(%(targets)s::bigint[])"
    with connection.cursor() as cursor:
        if targets is None:
            cursor.execute(_IN_QUESTION, parameters)
            parameters["targets"] = [pk for (pk,) in cursor.fetchall()]
        moved = []
        for statement in _STATEMENTS if parameters["targets"] else ():
            cursor.execute(statement, parameters)
            moved.append(cursor.rowcount)
        told = "true" if read_to is None else "id > %(read_to)s"
        cursor.execute(_REFUSED.format(chosen=of_these, told=told), parameters)
        refused = cursor.rowcount
    confirmed, issued, withdrawn = moved or (0, 0, 0)
    return Progress(confirmed, issued, withdrawn, refused=refused)
