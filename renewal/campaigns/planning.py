"""Planning a campaign: choose certificates by their expiry, freeze them into targets; start, pause and stop it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import BooleanField, Case, DateTimeField, Exists, F, IntegerField, OuterRef, Value, When
from django.db.models.expressions import Combinable
from django.db.models.fields import CharField
from django.db.models.functions import Coalesce

from inventory import session_locks
from inventory.audit.record import Actor, event, record
from inventory.models import AuditAction, Batch, Certificate, DeviceStatus, Fleet, Site
from inventory.models.certificate import CertificateQuerySet
from renewal.campaigns.ladder import DEFAULT, Ladder
from renewal.coverage_counts import ask_for_count
from renewal.models import Campaign, CampaignState, Target, TargetState
from renewal.models.campaign import OPEN_STATES, UNFINISHED_STATES


@dataclass(frozen=True)
class Selection:
    """Which certificates a campaign is for: those of a fleet with `expires_from <= not_after < expires_before`."""

    fleet: Fleet
    expires_from: datetime
    expires_before: datetime
    site: Site | None = None
    batch: Batch | None = None


@dataclass(frozen=True)
class Pace:
    """How many messages of a campaign leave in a minute; `and_site`: to the devices of one site."""

    a_minute: int = 5000
    a_minute_and_site: int | None = None


@dataclass(frozen=True)
class Plan:
    name: str
    selection: Selection
    due_at: datetime
    ladder: Ladder = DEFAULT
    pace: Pace = field(default_factory=Pace)


class CampaignError(ValueError):
    """A campaign cannot be planned, started or paused; the text says why."""


def selected(selection: Selection) -> CertificateQuerySet:
    """Return the certificates that a campaign for `selection` would renew now, one a device.

    Left out: devices out of service, those with a newer certificate already, those in another open campaign, and what
    external authorities or revoked ones signed, with which no device can renew here. One query, at once.
    """
    ours = Certificate.objects.filter(authority__key_name__isnull=False).trusted()
    elsewhere = Target.objects.filter(
        device=OuterRef("device"), state__in=OPEN_STATES, campaign__state__in=UNFINISHED_STATES
    )
    certificates = (
        ours.of_devices()
        .expiring_between(selection.expires_from, selection.expires_before)
        .filter(device__fleet=selection.fleet, device__status=DeviceStatus.IN_SERVICE)
        .exclude(Exists(ours.standing().newer()))
        .exclude(Exists(elsewhere))
    )
    if selection.site:
        certificates = certificates.filter(device__site=selection.site)
    if selection.batch:
        certificates = certificates.filter(device__batch=selection.batch)
    return certificates


def plan(plan: Plan, *, now: datetime, actor: Actor) -> Campaign:
    """Make a campaign and freeze its targets, in a fixed number of statements whatever their number.

    Raises CampaignError when nothing is selected.
    """
    selection = plan.selection
    with transaction.atomic():
        # Of two plans at the same time, the second sees the targets of the first: a device is in one open campaign.
        Fleet.objects.select_for_update(no_key=True).get(pk=selection.fleet.pk)
        campaign = Campaign.objects.create(
            name=plan.name,
            fleet=selection.fleet,
            expires_from=selection.expires_from,
            expires_before=selection.expires_before,
            due_at=plan.due_at,
            ladder=plan.ladder.to_json(),
            triggers_per_minute=plan.pace.a_minute,
            triggers_per_minute_and_site=plan.pace.a_minute_and_site,
            created_at=now,
            created_by=actor.name,
        )
        targets = _freeze(campaign, plan, now)
        if not targets:
            raise CampaignError(
                f"No certificate of fleet {selection.fleet.slug} that expires from {selection.expires_from:%Y-%m-%d} "
                f"to before {selection.expires_before:%Y-%m-%d} waits for renewal; choose another span."
            )
        _audit(AuditAction.CAMPAIGN_PLANNED, campaign, now, actor, targets=targets)
        # Robust: the campaign stands, and whoever looks at the dashboard asks again.
        transaction.on_commit(ask_for_count, robust=True)
    return campaign


def _freeze(campaign: Campaign, plan: Plan, now: datetime) -> int:
    """Insert the targets by one INSERT ... SELECT; return how many."""
    first_channel = Case(
        *(
            When(device__connectivity=connectivity, then=Value(rungs[0].channel.value))
            for connectivity, rungs in plan.ladder.rungs.items()
            if rungs
        ),
        default=Value(""),
        output_field=CharField(),
    )
    columns: dict[str, Combinable] = {
        "campaign_id": Value(campaign.pk, IntegerField()),
        "device_id": F("device_id"),
        "certificate_id": F("id"),
        "ends_at": F("not_after"),
        "state": Value(TargetState.PLANNED.value, CharField()),
        "reason": Value("", CharField()),
        "attempts_made": Value(0, IntegerField()),
        "rung": Value(0, IntegerField()),
        "rung_attempts": Value(0, IntegerField()),
        "channel": first_channel,
        "asked_over": Value("", CharField()),
        "unanswered": Value(False, BooleanField()),
        "next_step_at": Value(now, DateTimeField()),
    }
    rows = selected(plan.selection).order_by("not_after").values_list(*columns.values())
    select, parameters = rows.query.sql_with_params()
    table = connection.ops.quote_name(Target._meta.db_table)
    names = ", ".join(connection.ops.quote_name(name) for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({names}) {select}", parameters)
        return int(cursor.rowcount)


def start(campaign: Campaign, *, now: datetime, actor: Actor) -> None:
    """Let a planned or paused campaign run. Raises CampaignError for any other.

    Its clock goes on from where the pause stopped it: no step was skipped, and what comes due keeps to the pace.
    """
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
        )
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
