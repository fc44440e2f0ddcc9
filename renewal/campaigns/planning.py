"""Planning a campaign: choose certificates by their expiry, freeze them into targets, start and pause."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import DateTimeField, Exists, F, IntegerField, OuterRef, Value
from django.db.models.expressions import Combinable
from django.db.models.fields import CharField

from inventory.audit.record import Actor, event, record
from inventory.models import AuditAction, Batch, Certificate, DeviceStatus, Fleet, Site
from inventory.models.certificate import CertificateQuerySet
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
    """How fast a campaign sends triggers, and how often."""

    retry_interval: timedelta = timedelta(hours=72)
    max_attempts: int = 5
    triggers_per_tick: int = 1000


@dataclass(frozen=True)
class Plan:
    name: str
    selection: Selection
    due_at: datetime
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
            retry_interval=plan.pace.retry_interval,
            max_attempts=plan.pace.max_attempts,
            triggers_per_tick=plan.pace.triggers_per_tick,
            created_at=now,
            created_by=actor.name,
        )
        targets = _freeze(campaign, selection, now)
        if not targets:
            raise CampaignError(
                f"No certificate of fleet {selection.fleet.slug} that expires from {selection.expires_from:%Y-%m-%d} "
                f"to before {selection.expires_before:%Y-%m-%d} waits for renewal; choose another span."
            )
        _audit(AuditAction.CAMPAIGN_PLANNED, campaign, now, actor, targets=targets)
        # Robust: the campaign stands, and whoever looks at the dashboard asks again.
        transaction.on_commit(ask_for_count, robust=True)
    return campaign


def _freeze(campaign: Campaign, selection: Selection, now: datetime) -> int:
    """Insert the targets by one INSERT ... SELECT; return how many."""
    columns: dict[str, Combinable] = {
        "campaign_id": Value(campaign.pk, IntegerField()),
        "device_id": F("device_id"),
        "certificate_id": F("id"),
        "state": Value(TargetState.PLANNED.value, CharField()),
        "attempts_made": Value(0, IntegerField()),
        "next_step_at": Value(now, DateTimeField()),
    }
    rows = selected(selection).order_by("not_after").values_list(*columns.values())
    select, parameters = rows.query.sql_with_params()
    table = connection.ops.quote_name(Target._meta.db_table)
    names = ", ".join(connection.ops.quote_name(name) for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({names}) {select}", parameters)
        return int(cursor.rowcount)


def start(campaign: Campaign, *, now: datetime, actor: Actor) -> None:
    """Let a planned or paused campaign run. Raises CampaignError in any other state."""
    with transaction.atomic():
        _move(campaign, (CampaignState.PLANNED, CampaignState.PAUSED), CampaignState.RUNNING)
        Campaign.objects.filter(pk=campaign.pk, started_at=None).update(started_at=now)
        _audit(AuditAction.CAMPAIGN_STARTED, campaign, now, actor)


def pause(campaign: Campaign, *, now: datetime, actor: Actor) -> None:
    """Send no more triggers; what devices do by themselves is still counted. Raises CampaignError unless it runs."""
    with transaction.atomic():
        _move(campaign, (CampaignState.RUNNING,), CampaignState.PAUSED)
        _audit(AuditAction.CAMPAIGN_PAUSED, campaign, now, actor)


def finish(campaign: Campaign, *, now: datetime, actor: Actor) -> None:
    """End a running campaign that has nothing left to do. Raises CampaignError unless it runs."""
    with transaction.atomic():
        _move(campaign, (CampaignState.RUNNING,), CampaignState.FINISHED)
        Campaign.objects.filter(pk=campaign.pk).update(finished_at=now)
        _audit(AuditAction.CAMPAIGN_FINISHED, campaign, now, actor)


def _move(campaign: Campaign, sources: tuple[CampaignState, ...], target: CampaignState) -> None:
    if not Campaign.objects.filter(pk=campaign.pk, state__in=sources).update(state=target):
        state = Campaign.objects.values_list("state", flat=True).get(pk=campaign.pk)
        raise CampaignError(
            f"The campaign is {state}; only one that is {' or '.join(sources)} can become {target.value}."
        )


def _audit(action: AuditAction, campaign: Campaign, now: datetime, actor: Actor, **details: int) -> None:
    record(
        [event(action, now=now, actor=actor, object_name=campaign.name, details={"campaign": campaign.pk, **details})]
    )
