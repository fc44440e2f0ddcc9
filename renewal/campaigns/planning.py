"""Planning a campaign: freeze what was chosen into targets; start, pause and stop it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce

from inventory import session_locks
from inventory.audit.record import Actor, event, record
from inventory.models import AuditAction, Device, DeviceStatus, Fleet
from renewal.campaigns.choosing import Selection, selected
from renewal.campaigns.evidence import answers_for
from renewal.campaigns.freezing import TooManyWaves, Waves, freeze
from renewal.campaigns.ladder import DEFAULT, Ladder
from renewal.campaigns.settings import Limits, Settings
from renewal.campaigns.waves import excuse
from renewal.coverage_counts import ask_for_count
from renewal.models import Campaign, CampaignState, Wave
from renewal.models.campaign import UNFINISHED_STATES


@dataclass(frozen=True)
class Plan:
    """What a campaign is made of.

    `joins_within`: it is evergreen, and devices join so long before their certificates end; it has no `due_at` then.
    """

    name: str
    selection: Selection
    due_at: datetime | None
    ladder: Ladder = DEFAULT
    settings: Settings = field(default_factory=Settings)
    waves: Waves = field(default_factory=Waves)
    joins_within: timedelta | None = None


class CampaignError(ValueError):
    """A campaign cannot be planned, started or paused; the text says why."""


def plan(plan: Plan, *, now: datetime, actor: Actor) -> Campaign:
    """Make a campaign and freeze its targets, in a fixed number of statements whatever their number.

    Raises CampaignError when nothing is selected, and for waves that could show nothing or would be too many.
    """
    selection = plan.selection
    _refuse_waves_that_show_nothing(plan.waves, plan.settings.limits)
    if plan.joins_within is not None and (plan.waves or selection.chosen_from):
        raise CampaignError("An evergreen campaign is not cut into waves, and is for a fleet, a site or a batch.")
    with transaction.atomic():
        # Of two plans at the same time, the second sees the targets of the first: a device is in one open campaign.
        Fleet.objects.select_for_update(no_key=True).get(pk=selection.fleet.pk)
        campaign = Campaign.objects.create(
            name=plan.name,
            fleet=selection.fleet,
            site=selection.site,
            batch=selection.batch,
            joins_within=plan.joins_within,
            joined_at=None if plan.joins_within is None else now,
            expires_from=selection.expires_from,
            expires_before=selection.expires_before,
            chosen_from=selection.chosen_from,
            due_at=plan.due_at,
            ladder=plan.ladder.to_json(),
            canary=plan.waves.canary,
            wave_size=plan.waves.size,
            **plan.settings.columns(),
            created_at=now,
            created_by=actor.name,
        )
        try:
            targets = freeze(campaign, selected(selection), plan.ladder, plan.waves, now)
        except TooManyWaves as error:
            raise CampaignError(str(error)) from error
        if not targets and plan.joins_within is None:
            raise CampaignError(
                f"No certificate of fleet {selection.fleet.slug} that expires from {selection.expires_from:%Y-%m-%d} "
                f"to before {selection.expires_before:%Y-%m-%d} waits for renewal; choose another span."
            )
        _audit(AuditAction.CAMPAIGN_PLANNED, campaign, now, actor, targets=targets)
        # Robust: the campaign stands, and whoever looks at the dashboard asks again.
        transaction.on_commit(ask_for_count, robust=True)
    return campaign


def _refuse_waves_that_show_nothing(waves: Waves, limits: Limits) -> None:
    """A wave opens the next by its answers: one that is too small never could. Raises CampaignError."""
    least = answers_for(0, limits.to_open)
    for size in filter(None, (waves.canary, waves.size)):
        if size < least:
            raise CampaignError(
                f"{size:,} devices can never show that fewer than {limits.to_open:.1%} fail: that takes {least:,} "
                "answers without a failure. Choose more devices ahead and a wave, or a higher limit."
            )


def needs_second_person(campaign: Campaign) -> bool:
    """Return whether a campaign is started by two people: a planned one that is large, or may become so. One query."""
    if campaign.state != CampaignState.PLANNED:
        return False
    joining = Device.objects.filter(fleet=campaign.fleet_id, status=DeviceStatus.IN_SERVICE)
    devices = joining if campaign.joins_within is not None else campaign.targets.all()
    # More is never counted than the answer takes.
    most: int = settings.TWO_PEOPLE_ABOVE
    return devices.order_by()[: most + 1].count() > most


def start(campaign: Campaign, *, now: datetime, actor: Actor, agreed: bool = False) -> None:
    """Let a planned or paused campaign run; `agreed`: a second person has approved it.

    Raises CampaignError for one in another state, and for a large one without that.

    Its clock goes on from where the pause stopped it: no step was skipped, and what comes due keeps to the pace.
    """
    if not agreed and needs_second_person(campaign):
        most = f"{settings.TWO_PEOPLE_ABOVE:,}"
        raise CampaignError(f"A campaign for more than {most} devices is started by two people: propose its start.")
    with transaction.atomic():
        _move(
            campaign,
            (CampaignState.PLANNED, CampaignState.PAUSED),
            CampaignState.RUNNING,
            started_at=Coalesce("started_at", Value(now)),
            paused_for=Coalesce(F("paused_for") + (Value(now) - F("paused_at")), F("paused_for")),
            paused_at=None,
            # What was saved up before a pause is no reason for a burst after it.
            allowance=0,
            ticked_at=None,
            paused_because=[],
        )
        excuse(campaign)
        first = Wave.objects.filter(campaign=campaign).order_by("number").values("number")[:1]
        Wave.objects.filter(campaign=campaign, number__in=first, opened_at=None).update(opened_at=now)
        _audit(AuditAction.CAMPAIGN_STARTED, campaign, now, actor)


def pause(campaign: Campaign, *, now: datetime, actor: Actor) -> None:
    """Send nothing more; what devices do by themselves is still counted. Raises CampaignError unless it runs.

    Returns when nothing leaves any more: a tick that is under way ends with the messages that it has in hand.
    """
    with transaction.atomic():
        _move(campaign, (CampaignState.RUNNING,), CampaignState.PAUSED, paused_at=now)
        _audit(AuditAction.CAMPAIGN_PAUSED, campaign, now, actor)
    _wait_for_tick(campaign)


def stop(campaign: Campaign, *, now: datetime, actor: Actor) -> None:
    """End a campaign with targets left, which another may take up. Raises CampaignError for one that has ended.

    The targets stay as they are: they say how far it came. Returns when nothing leaves any more.
    """
    with transaction.atomic():
        _move(campaign, UNFINISHED_STATES, CampaignState.STOPPED, finished_at=now, paused_at=None)
        _audit(AuditAction.CAMPAIGN_STOPPED, campaign, now, actor)
    _wait_for_tick(campaign)


def tick_lock(campaign: Campaign) -> int:
    """Return the key of the lock that a tick of `campaign` holds (`session_locks`)."""
    return session_locks.key_of(f"tick of campaign {campaign.pk}")


def _wait_for_tick(campaign: Campaign) -> None:
    with session_locks.held(tick_lock(campaign), wait=True):
        pass


def finish(campaign: Campaign, *, now: datetime, actor: Actor) -> None:
    """End a running campaign that has nothing left to do. Raises CampaignError unless it runs."""
    with transaction.atomic():
        _move(campaign, (CampaignState.RUNNING,), CampaignState.FINISHED, finished_at=now)
        _audit(AuditAction.CAMPAIGN_FINISHED, campaign, now, actor)


def _move(campaign: Campaign, sources: tuple[CampaignState, ...], target: CampaignState, **changes: Any) -> None:
    if not Campaign.objects.filter(pk=campaign.pk, state__in=sources).update(state=target, **changes):
        state = Campaign.objects.values_list("state", flat=True).get(pk=campaign.pk)
        raise CampaignError(
            f"The campaign is {state}; only one that is {' or '.join(sources)} can become {target.value}."
        )


def _audit(action: AuditAction, campaign: Campaign, now: datetime, actor: Actor, **details: int) -> None:
    record(
        [event(action, now=now, actor=actor, object_name=campaign.name, details={"campaign": campaign.pk, **details})]
    )
