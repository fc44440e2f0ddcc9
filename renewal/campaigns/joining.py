"""Evergreen campaigns: each device joins once its certificate ends soon enough, and again with its next one."""

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F, Min
from django.db.models.functions import Greatest

from inventory.audit.record import SYSTEM, event, record
from inventory.models import AuditAction, CertificateState, DeviceStatus, Fleet
from renewal.campaigns.choosing import Selection, selected
from renewal.campaigns.freezing import freeze_more
from renewal.campaigns.ladder import Ladder
from renewal.campaigns.moving import moving
from renewal.models import Campaign, Target, TargetReason, TargetState

JOIN_EVERY = timedelta(hours=1)

# Who is back in service goes on where it stood: what comes and goes has one target, and one budget of attempts.
_BACK = moving("""
    UPDATE renewal_target target SET state = %(planned)s, reason = '', next_step_at = %(clock)s, channel = coalesce((
        SELECT attempt.channel FROM renewal_attempt attempt
        WHERE attempt.target_id = target.id ORDER BY attempt.number DESC LIMIT 1
    ), %(channel)s)
    FROM inventory_device device, inventory_certificate certificate
    WHERE target.campaign_id = %(campaign)s AND target.state = %(withdrawn)s AND target.reason = %(out_of_service)s
      AND device.id = target.device_id AND device.status = %(in_service)s
      AND certificate.id = target.certificate_id AND certificate.state = %(confirmed)s AND target.ends_at > %(now)s""")


def join(campaign: Campaign, ladder: Ladder, now: datetime) -> int:
    """Let devices join a campaign that is evergreen, at most once an hour; return how many joined or came back.

    Four statements and a lock, whatever their number. What joins obeys the pace like all others.
    """
    within = campaign.joins_within
    if within is None or (campaign.joined_at is not None and now - campaign.joined_at < JOIN_EVERY):
        return 0
    selection = Selection(campaign.fleet, now, now + within, campaign.site, campaign.batch)
    with transaction.atomic():
        # As planning does: a device is in one open campaign.
        Fleet.objects.select_for_update(no_key=True).get(pk=campaign.fleet_id)
        joined = freeze_more(campaign, selected(selection), ladder, campaign.clock(now))
        back = _take_back(campaign, ladder, now)
        Campaign.objects.filter(pk=campaign.pk).update(
            joined_at=now, expires_before=Greatest(F("expires_before"), now + within)
        )
        if joined:
            first = Target.objects.filter(campaign=campaign).open().aggregate(first=Min("ends_at"))["first"]
            campaign.waves.update(size=F("size") + joined, first_end=first or now)
            details = {"campaign": campaign.pk, "targets": joined}
            told = event(AuditAction.CAMPAIGN_JOINED, now=now, actor=SYSTEM, object_name=campaign.name, details=details)
            record([told])
    return joined + back


def _take_back(campaign: Campaign, ladder: Ladder, now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            _BACK,
            {
                "campaign": campaign.pk,
                "now": now,
                "clock": campaign.clock(now),
                "channel": ladder.channels[0].value if ladder.channels else "",
                "planned": TargetState.PLANNED.value,
                "withdrawn": TargetState.WITHDRAWN.value,
                "out_of_service": TargetReason.OUT_OF_SERVICE.value,
                "in_service": DeviceStatus.IN_SERVICE.value,
                "confirmed": CertificateState.CONFIRMED.value,
            },
        )
        return int(cursor.rowcount)
