"""Updates targets from facts: certificates issued and used, devices out of service. Campaigns only read facts."""

from dataclasses import dataclass

from django.db import connection

from inventory.models import CertificateState, DeviceStatus
from renewal.models import Campaign, TargetState

# A newer standing certificate of the device is what counts, however the device came by it.
_CONFIRMED = """
UPDATE renewal_target target
SET state = %(confirmed)s, renewed_certificate_id = newer.id, issued_at = newer.issued_at,
    confirmed_at = newer.activated_at, next_step_at = NULL
FROM inventory_certificate newer
WHERE target.campaign_id = %(campaign)s AND target.state = ANY(%(open)s)
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
  AND target.state = ANY(%(not_issued)s)
  -- Who was escalated because this very certificate stayed unused stays with a person.
  AND target.renewed_certificate_id IS DISTINCT FROM newer.id
  AND newer.id = (
    SELECT c.id FROM inventory_certificate c JOIN inventory_certificate old ON old.device_id = c.device_id
    WHERE old.id = target.certificate_id AND (c.issued_at, c.id) > (old.issued_at, old.id)
      AND c.state = %(certificate_issued)s
    ORDER BY c.issued_at DESC, c.id DESC LIMIT 1
  )
"""
_WITHDRAWN = """
UPDATE renewal_target target
SET state = %(withdrawn)s, next_step_at = NULL
FROM inventory_certificate old, inventory_device device
WHERE target.campaign_id = %(campaign)s AND target.state = ANY(%(open)s)
  AND old.id = target.certificate_id AND device.id = target.device_id
  AND (old.state = %(certificate_revoked)s OR device.status <> %(in_service)s)
"""


@dataclass(frozen=True)
class Progress:
    """How many targets moved to each state."""

    confirmed: int
    issued: int
    withdrawn: int


def observe(campaign: Campaign) -> Progress:
    """Move the open targets of `campaign` to where their devices are. Three statements, whatever their number."""
    not_issued = [TargetState.PLANNED.value, TargetState.TRIGGERED.value, TargetState.ESCALATED.value]
    parameters: dict[str, int | str | list[str]] = {
        "campaign": campaign.pk,
        "open": [*not_issued, TargetState.ISSUED.value],
        "not_issued": not_issued,
        "confirmed": TargetState.CONFIRMED.value,
        "issued": TargetState.ISSUED.value,
        "withdrawn": TargetState.WITHDRAWN.value,
        "certificate_confirmed": CertificateState.CONFIRMED.value,
        "certificate_issued": CertificateState.ISSUED.value,
        "certificate_revoked": CertificateState.REVOKED.value,
        "in_service": DeviceStatus.IN_SERVICE.value,
    }
    with connection.cursor() as cursor:
        moved = []
        for statement in (_CONFIRMED, _ISSUED, _WITHDRAWN):
            cursor.execute(statement, parameters)
            moved.append(cursor.rowcount)
    return Progress(*moved)
