"""Claiming due targets: the ladder is asked once for each situation among them, and a statement carries out its answer.

A target is claimed before anything is sent, by moving its next step: a crash in between costs the device one wait,
never a second message in the same wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from inventory.models import Connectivity
from renewal.campaigns import aiming
from renewal.campaigns.ladder import GiveUp, Ladder, Send, Situation, next_step
from renewal.campaigns.moving import moving
from renewal.campaigns.windows import opens_at
from renewal.channels.messages import TriggerMessage
from renewal.models import AttemptOutcome, Campaign, CampaignState, Channel, TargetReason, TargetState

# The column of a device that a channel reaches it by; a webhook's backend knows it by its serial number.
_ADDRESSES = {Channel.MQTT: "device.mqtt_id", Channel.SMS: "device.phone_number", Channel.WEBHOOK: "''"}

_TARGETS = """SELECT target.id, target.device_id, target.state, target.rung, target.rung_attempts,
               target.ends_at <= %(now)s AS ended
        FROM renewal_target target"""
# What is alike of those that are `due`, and the keys of the targets that it is true of.
_SITUATIONS = """SELECT device.connectivity, due.rung, due.rung_attempts, device.mqtt_id <> '',
           device.phone_number <> '', due.state, due.ended,
           CASE WHEN %(by_zone)s THEN coalesce(nullif(site.time_zone, ''), %(zone)s) END,
           array_agg(due.id ORDER BY due.id)
    FROM due JOIN inventory_device device ON device.id = due.device_id
    LEFT JOIN inventory_site site ON %(by_zone)s AND site.id = device.site_id
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8"""
# Locked in the order of their steps. A target of another channel than it was due for goes over to that one.
_DUE = f"""
    WITH due AS MATERIALIZED (
        {_TARGETS}
        WHERE target.campaign_id = %(campaign)s AND target.channel = %(channel)s
          AND target.next_step_at <= %(clock)s
        ORDER BY target.next_step_at LIMIT %(most)s FOR NO KEY UPDATE OF target SKIP LOCKED
    )
    {_SITUATIONS}"""
# The same, with as many of each site as the last minute leaves room for. It reads all that are due.
_DUE_BY_SITE = f"""
    WITH sent AS MATERIALIZED (
        SELECT device.site_id, count(*) AS number
        FROM renewal_attempt attempt
        JOIN renewal_target target ON target.id = attempt.target_id
        JOIN inventory_device device ON device.id = target.device_id
        WHERE attempt.at > %(now)s - interval '1 minute' AND target.campaign_id = %(campaign)s
        GROUP BY 1
    ), placed AS MATERIALIZED (
        SELECT target.id, target.next_step_at, device.site_id,
               row_number() OVER (PARTITION BY device.site_id ORDER BY target.next_step_at, target.id) AS place
        FROM renewal_target target JOIN inventory_device device ON device.id = target.device_id
        WHERE target.campaign_id = %(campaign)s AND target.channel = %(channel)s AND target.next_step_at <= %(clock)s
    ), chosen AS MATERIALIZED (
        SELECT placed.id FROM placed LEFT JOIN sent ON sent.site_id IS NOT DISTINCT FROM placed.site_id
        WHERE placed.place + coalesce(sent.number, 0) <= %(a_site)s
        ORDER BY placed.next_step_at LIMIT %(most)s
    ), due AS MATERIALIZED (
        {_TARGETS}
        WHERE target.id IN (SELECT id FROM chosen) AND target.next_step_at <= %(clock)s
        FOR NO KEY UPDATE OF target SKIP LOCKED
    )
    {_SITUATIONS}"""  # noqa: S608 - of constants

# `ladder.look_again_at`, in SQL. Those of one statement were all in one state.
_SEND = """
    WITH claimed AS (
        UPDATE renewal_target target
        SET attempts_made = target.attempts_made + 1, rung = %(rung)s, rung_attempts = %(rung_attempts)s,
            channel = %(next_channel)s, asked_over = %(channel)s, state = %(state)s, reason = '',
            unanswered = %(unanswered)s, wake_expected_at = NULL,
            triggered_at = coalesce(target.triggered_at, %(now)s),
            next_step_at = %(clock)s + greatest(
                %(patience)s::interval,
                least(%(backed_off)s::interval, (target.ends_at - %(now)s) / (%(steps_left)s + 1))
            )
        FROM inventory_device device
        WHERE target.id = ANY(%(targets)s) AND device.id = target.device_id
        RETURNING target.id, target.attempts_made, target.ends_at, target.next_step_at, device.serial,
                  {address} AS address
    ), moved AS (
        INSERT INTO renewal_targetmove (target_id, at, state, reason)
        SELECT id, %(now)s, %(state)s, '' FROM claimed WHERE %(moves)s ORDER BY id
    ), attempt AS (
        INSERT INTO renewal_attempt
            (target_id, number, rung, rung_attempt, channel, at, outcome, detail, wake_expected_at)
        SELECT id, attempts_made, %(rung)s, %(rung_attempts)s, %(channel)s, %(now)s, %(outcome)s, '', {wake}
        FROM claimed ORDER BY id
        RETURNING id, target_id
    )
    SELECT attempt.id, claimed.serial, claimed.address, claimed.ends_at,
           CASE WHEN %(kept)s THEN greatest(claimed.next_step_at - %(clock)s, %(validity)s::interval)
                ELSE %(validity)s::interval END
    FROM attempt JOIN claimed ON claimed.id = attempt.target_id ORDER BY attempt.id"""
# As it was before the statement: what only messages that were put off have.
_WAKE_OF_CLAIMED = "(SELECT before.wake_expected_at FROM renewal_target before WHERE before.id = claimed.id)"
_GIVE_UP = moving("""
    UPDATE renewal_target target
    SET state = %(state)s, reason = %(reason)s, next_step_at = NULL, channel = '', wake_expected_at = NULL,
        escalated_at = coalesce(target.escalated_at, %(now)s)
    WHERE target.id = ANY(%(targets)s)""")
_PUT_OFF = "UPDATE renewal_target SET next_step_at = %(clock)s WHERE id = ANY(%(targets)s)"
# Whoever waits for an SMS that nobody pays for was asked in vain over all that is left.
_WITHOUT_BUDGET = """
    UPDATE renewal_target SET unanswered = true
    WHERE campaign_id = %(campaign)s AND channel = %(sms)s AND next_step_at <= %(clock)s AND state = %(triggered)s
      AND NOT unanswered"""
_GO_OVER = "UPDATE renewal_target SET channel = %(channel)s WHERE id = ANY(%(targets)s)"
# Whose certificate has ended, whatever step they wait for, over however broken a channel.
_FAIL = moving("""
    UPDATE renewal_target target
    SET state = %(failed)s, reason = %(expired)s, next_step_at = NULL, channel = '', wake_expected_at = NULL
    WHERE target.campaign_id = %(campaign)s AND target.ends_at <= %(now)s AND target.state = ANY(%(not_issued)s)""")
_NOT_ISSUED = (TargetState.PLANNED, TargetState.TRIGGERED, TargetState.ACKNOWLEDGED, TargetState.ESCALATED)


@dataclass(frozen=True)
class Claims:
    """What came of the targets that were due: messages to be sent, and how many were left to a person.

    `looked_at` counts all of them; fewer than were asked for means that no more are due.
    """

    messages: list[TriggerMessage]
    escalated: int
    looked_at: int


_NONE = Claims([], 0, 0)


def claim(
    campaign: Campaign, ladder: Ladder, channel: Channel | None, usable: frozenset[Channel], most: int, now: datetime
) -> Claims:
    """Claim at most `most` targets whose next step is due over `channel`, None for those with no message left.

    `usable`: the channels for which there is a way. In one transaction: two statements, and one for each situation; two
    more for one whose message may wait for a wake.
    Nothing is claimed of a campaign that runs no more.
    """
    parameters: dict[str, Any] = {
        "campaign": campaign.pk,
        "channel": channel.value if channel else "",
        "clock": campaign.clock(now),
        "now": now,
        "most": most,
        "a_site": campaign.triggers_per_minute_and_site,
        "by_zone": campaign.window is not None,
        "zone": settings.TIME_ZONE_OF_SITES,
    }
    due = _DUE if campaign.triggers_per_minute_and_site is None or channel is None else _DUE_BY_SITE
    messages: list[TriggerMessage] = []
    escalated = looked_at = 0
    with transaction.atomic(), connection.cursor() as cursor:
        if not Campaign.objects.filter(pk=campaign.pk, state=CampaignState.RUNNING).exists():
            return _NONE
        cursor.execute(due, parameters)
        situations = cursor.fetchall()
        opens = opens_at(campaign.window, {row[7] for row in situations if row[7]}, now)
        for connectivity, rung, attempts, mqtt, sms, state, ended, zone, targets in situations:
            looked_at += len(targets)
            addressed = {Channel.WEBHOOK} | ({Channel.MQTT} if mqtt else set()) | ({Channel.SMS} if sms else set())
            situation = Situation(
                Connectivity(connectivity),
                rung,
                attempts,
                reachable=usable & addressed,
                renewed=state == TargetState.ISSUED,
                ended=ended,
            )
            match next_step(situation, ladder):
                case GiveUp(reason):
                    escalated += _give_up(cursor, targets, reason, now)
                case Send() if zone in opens:
                    cursor.execute(_PUT_OFF, {"clock": campaign.clock(opens[zone]), "targets": targets})
                case Send() as step if step.channel == channel:
                    leaving = aiming.put_off(cursor, campaign, step, targets, zone, now)
                    if leaving:
                        messages += _send(cursor, campaign, step, leaving, TargetState(state), now)
                case Send() as step:
                    cursor.execute(_GO_OVER, {"channel": step.channel.value, "targets": targets})
        if channel == Channel.SMS and messages:
            Campaign.objects.filter(pk=campaign.pk).update(sms_used=F("sms_used") + len(messages))
    return Claims(messages, escalated, looked_at)


def fail_ended(campaign: Campaign, now: datetime) -> int:
    """Move targets whose certificate ended before it was renewed; return how many. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            _FAIL,
            {
                "campaign": campaign.pk,
                "now": now,
                "failed": TargetState.FAILED.value,
                "expired": TargetReason.EXPIRED.value,
                "not_issued": [state.value for state in _NOT_ISSUED],
            },
        )
        return int(cursor.rowcount)


def note_budget_used_up(campaign: Campaign, now: datetime) -> None:
    """Let people see to those that wait for an SMS when none may leave any more. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            _WITHOUT_BUDGET,
            {
                "campaign": campaign.pk,
                "sms": Channel.SMS.value,
                "clock": campaign.clock(now),
                "triggered": TargetState.TRIGGERED.value,
            },
        )


def _give_up(cursor: Any, targets: Sequence[int], reason: TargetReason, now: datetime) -> int:
    state = TargetState.FAILED if reason == TargetReason.EXPIRED else TargetState.ESCALATED
    cursor.execute(_GIVE_UP, {"targets": targets, "state": state.value, "reason": reason.value, "now": now})
    return len(targets)


def _send(
    cursor: Any, campaign: Campaign, step: Send, targets: Sequence[int], state: TargetState, now: datetime
) -> list[TriggerMessage]:
    first = state == TargetState.PLANNED
    cursor.execute(
        _SEND.format(address=_ADDRESSES[step.channel], wake="NULL::timestamptz" if step.kept else _WAKE_OF_CLAIMED),
        {
            "targets": targets,
            "rung": step.rung,
            "rung_attempts": step.attempts,
            "channel": step.channel.value,
            "next_channel": step.next_channel.value if step.next_channel else "",
            "state": (TargetState.TRIGGERED if first else state).value,
            "moves": first,
            "patience": step.patience,
            "backed_off": step.backed_off,
            "steps_left": step.steps_left,
            "kept": step.kept,
            "validity": step.validity,
            "unanswered": step.unanswered,
            "outcome": AttemptOutcome.CLAIMED.value,
            "clock": campaign.clock(now),
            "now": now,
        },
    )
    fleet = campaign.fleet.slug
    est_url = f"{settings.PUBLIC_DEVICE_URL}/.well-known/est/{fleet}"
    return [
        TriggerMessage(
            attempt=attempt,
            fleet=fleet,
            device=serial,
            address=address,
            campaign=campaign.pk,
            renew_before=ends_at.isoformat(),
            est_url=est_url,
            # Whoever wakes after its certificate ended can renew no more. Renewed ones are reminded whenever they wake.
            valid_until=now + worth if state == TargetState.ISSUED else min(now + worth, ends_at),
        )
        for attempt, serial, address, ends_at, worth in cursor.fetchall()
    ]
