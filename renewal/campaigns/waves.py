"""Waves open by evidence, and failures stop a campaign. See `evidence` for what is shown by what."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from inventory.audit.record import SYSTEM, Actor, event, record
from inventory.models import AuditAction
from renewal.campaigns import evidence
from renewal.campaigns.evidence import SHARE_THAT_ANSWERS, Evidence
from renewal.campaigns.ladder import LONGEST_WAIT, Ladder, shortest_climb
from renewal.models import Campaign, CampaignState, Target, TargetState, Wave
from renewal.models.campaign import ANSWERED_IN_VAIN, TargetQuerySet

LOOK_EVERY = timedelta(minutes=1)

_IN_VAIN = """(
    refusal <> '' AND state <> 'withdrawn' OR state = 'escalated' AND reason = 'unused'
    OR state = 'issued' AND (rung > 0 OR rung_attempts > 0)
)"""
# By the model that a device answers at any moment of its first wait alike.
_EVIDENCE = f"""
    SELECT count(*) FILTER (WHERE state = 'planned'),
           count(*) FILTER (WHERE state = 'confirmed' OR {_IN_VAIN}), count(*) FILTER (WHERE {_IN_VAIN}),
           coalesce(sum(least(1.0, greatest(0.0, extract(epoch FROM %(now)s - triggered_at)
               / extract(epoch FROM coalesce(first.patience, %(longest)s::interval)))))
               FILTER (WHERE triggered_at IS NOT NULL AND state <> 'withdrawn'), 0),
           count(*) FILTER (WHERE state IN ('planned', 'triggered', 'acknowledged', 'issued') AND NOT {_IN_VAIN})
    FROM renewal_target target JOIN inventory_device device ON device.id = target.device_id
    LEFT JOIN unnest(%(classes)s::varchar[], %(patiences)s::interval[]) AS first (connectivity, patience)
        USING (connectivity)
    WHERE target.campaign_id = %(campaign)s AND target.wave = %(wave)s"""  # noqa: S608 - of constants
_OPEN = """
    UPDATE renewal_target SET next_step_at = %(clock)s
    WHERE campaign_id = %(campaign)s AND wave = %(wave)s AND wave > 0
      AND state = %(planned)s AND next_step_at IS NULL"""


@dataclass(frozen=True)
class Breach:
    """A wave in which too many of those that answered failed. What was excused before does not count."""

    wave: int
    failed: int
    answered: int

    def told(self, limit: float) -> str:
        words = {"wave": self.wave, "failed": self.failed, "answered": self.answered, "limit": f"{limit:.1%}"}
        if self.wave:
            text = _(
                "Wave %(wave)s: %(failed)s of %(answered)s that answered failed, more than the limit of %(limit)s."
            )
        else:
            text = _("%(failed)s of %(answered)s that answered failed, more than the limit of %(limit)s.")
        return text % words


@dataclass(frozen=True)
class Look:
    """What the answers have brought about. `opened`: the number of the wave that was opened."""

    breaches: Sequence[Breach] = ()
    opened: int | None = None


NOTHING_SHOWN = Look()


def opens_latest(wave: Wave, ladder: Ladder) -> datetime:
    """Return the last moment at which a wave may open, and each of its devices be asked on every rung all the same."""
    return wave.first_end - max(map(shortest_climb, ladder.rungs.values()), default=timedelta(0))


def due(campaign: Campaign, now: datetime) -> bool:
    """Return whether the last look at the answers of a campaign is long enough ago."""
    return campaign.answers_read_at is None or now - campaign.answers_read_at >= LOOK_EVERY


def look(campaign: Campaign, ladder: Ladder, now: datetime) -> Look:
    """Pause a running campaign whose waves fail, or open its next wave when the one before has shown enough.

    At most once a minute. Two queries when no device has failed and no wave waits; with one that waits, what the last
    open wave has targets.
    """
    if not due(campaign, now):
        return NOTHING_SHOWN
    Campaign.objects.filter(pk=campaign.pk).update(answers_read_at=now)
    breaches = _breaches(campaign)
    if breaches:
        _pause(campaign, breaches, now)
        return Look(breaches)
    last, following = ends_open(campaign)
    if last is None or following is None:
        return NOTHING_SHOWN
    shown = of_wave(campaign, last, ladder, now)
    if not evidence.may_open_next(shown, campaign.failures_to_open):
        return NOTHING_SHOWN
    return Look(opened=_opened(campaign, following, SYSTEM, now, answered=shown.answered, failed=shown.failed))


def ends_open(campaign: Campaign) -> tuple[Wave | None, Wave | None]:
    """Return the wave that was opened last, and the one to be opened next. One query."""
    waves = list(campaign.waves.order_by("number"))
    opened = [wave for wave in waves if wave.opened_at is not None]
    waiting = [wave for wave in waves if wave.opened_at is None]
    return (opened[-1] if opened else None), (waiting[0] if waiting else None)


def of_wave(campaign: Campaign, wave: Wave, ladder: Ladder, now: datetime) -> Evidence:
    """Return what the answers of a wave show so far. One query, over the targets of the wave."""
    firsts = {name.value: rungs[0].patience for name, rungs in ladder.rungs.items() if rungs}
    parameters: dict[str, Any] = {
        "campaign": campaign.pk,
        "wave": wave.number,
        # What was waited for in a pause that is going on does not count; what was in one that is over does.
        "now": campaign.clock(now) + campaign.paused_for,
        "classes": list(firsts),
        "patiences": list(firsts.values()),
        "longest": LONGEST_WAIT,
    }
    with connection.cursor() as cursor:
        cursor.execute(_EVIDENCE, parameters)
        to_ask, answered, failed, waited, able = cursor.fetchone()
    return Evidence(to_ask, answered, failed, SHARE_THAT_ANSWERS * float(waited), able)


def open_next(campaign: Campaign, *, now: datetime, actor: Actor) -> int | None:
    """Open the next wave by hand, whatever the one before has shown; return its number, None when none is left."""
    with transaction.atomic():
        campaign = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
        last, following = ends_open(campaign)
        if following is None or last is None or campaign.state not in (CampaignState.RUNNING, CampaignState.PAUSED):
            return None
        return _opened(campaign, following, actor, now)


def excuse(campaign: Campaign) -> None:
    """Let a campaign that paused itself go on: of its failed waves only later answers count. Two queries a wave."""
    for number in {each["wave"] for each in campaign.paused_because}:
        failed, answered = _counts(campaign, number)
        campaign.waves.filter(number=number).update(excused_failures=failed, excused_answers=answered)


def _opened(campaign: Campaign, wave: Wave, actor: Actor, now: datetime, **shown: int) -> int | None:
    with transaction.atomic(), connection.cursor() as cursor:
        by = "" if actor is SYSTEM else actor.name
        if not Wave.objects.filter(pk=wave.pk, opened_at=None).update(opened_at=now, opened_by=by):
            return None
        cursor.execute(
            _OPEN,
            {
                "campaign": campaign.pk,
                "wave": wave.number,
                "clock": campaign.clock(now),
                "planned": TargetState.PLANNED.value,
            },
        )
        details = {"campaign": campaign.pk, "wave": wave.number, "targets": cursor.rowcount, **shown}
        told = event(AuditAction.CAMPAIGN_WAVE_OPENED, now=now, actor=actor, object_name=campaign.name, details=details)
        record([told])
    return wave.number


def _breaches(campaign: Campaign) -> list[Breach]:
    """Return the waves that fail. One query when no device has failed, and two for each wave in which some have."""
    in_vain = Target.objects.filter(ANSWERED_IN_VAIN, campaign=campaign)
    waves = {wave.number: wave for wave in Wave.objects.filter(campaign=campaign, number__in=in_vain.values("wave"))}
    breaches = []
    for number, wave in sorted(waves.items()):
        failed = in_vain.filter(wave=number).count()
        # What was excused may have come through since.
        counted = max(failed - wave.excused_failures, 0)
        # Millions of others need not be counted.
        enough = evidence.answers_that_outweigh(counted, campaign.failures_to_pause) + wave.excused_answers
        answered = failed + _confirmed(campaign, number)[:enough].count()
        answered = max(answered - wave.excused_answers, counted)
        if evidence.exceeds(counted, answered, campaign.failures_to_pause):
            breaches.append(Breach(number, counted, answered))
    return breaches


def _counts(campaign: Campaign, wave: int) -> tuple[int, int]:
    """Return how many of a wave have failed, and how many have answered. Two queries, each by an index."""
    failed = Target.objects.filter(ANSWERED_IN_VAIN, campaign=campaign, wave=wave).count()
    return failed, failed + _confirmed(campaign, wave).count()


def _confirmed(campaign: Campaign, wave: int) -> TargetQuerySet:
    confirmed = Target.objects.filter(campaign=campaign, state=TargetState.CONFIRMED).order_by()
    # The index of waves has those of campaigns that are cut.
    return confirmed.filter(wave=wave, wave__gt=0) if wave else confirmed


def _pause(campaign: Campaign, breaches: Sequence[Breach], now: datetime) -> None:
    """Pause from within a tick, which holds the lock that a person's pause waits for."""
    reasons = [{"wave": each.wave, "failed": each.failed, "answered": each.answered} for each in breaches]
    with transaction.atomic():
        paused = Campaign.objects.filter(pk=campaign.pk, state=CampaignState.RUNNING).update(
            state=CampaignState.PAUSED, paused_at=now, paused_because=reasons
        )
        if paused:
            details = {"campaign": campaign.pk, "because": reasons}
            told = event(AuditAction.CAMPAIGN_PAUSED, now=now, actor=SYSTEM, object_name=campaign.name, details=details)
            record([told])
