"""Two fleets with a row of every kind each; names of one are in no row of the other."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils import timezone

from certportal.models import SavedFilter, User
from inventory.audit import record
from inventory.audit.record import SYSTEM
from inventory.devices import cases
from inventory.models import (
    Alert,
    AlertPolicy,
    AuditAction,
    Batch,
    CertificateState,
    CliffNotice,
    ColumnMapping,
    Delivery,
    Fleet,
    FleetMembership,
    ImportRun,
    Mute,
    Recipient,
    RevocationReason,
    Site,
    UnexpectedSighting,
)
from inventory.models.alert import AlertRun
from inventory.models.case import Verdict
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.freezing import Waves
from renewal.campaigns.planning import Plan
from renewal.campaigns.settings import Limits, Settings
from renewal.field import opening
from renewal.models import DeviceNote, Gateway, Rehearsal, Team, WorkOrder
from renewal.simulation import rehearsing
from revocation.models import Crl
from tests import factories
from tests.factories import DAY, investigator

# Enough of one day that it is a cliff.
_DEVICES = 12


@dataclass
class OneFleet:
    """`rows`: by `app_model` the key of a row; `words`: what nobody else may read."""

    fleet: Fleet
    rows: dict[str, Any] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)


def plant(mark: str) -> OneFleet:
    """Make a fleet whose names all hold `mark`, a word that is found nowhere else."""
    now = timezone.now()
    authority = factories.authority(f"ca-{mark}")
    profile = factories.profile(f"profile-{mark}")
    fleet = factories.fleet(f"fleet-{mark}", authority=authority, profile=profile)
    site = Site.objects.create(fleet=fleet, name=f"site-{mark}")
    batch = Batch.objects.create(fleet=fleet, name=f"batch-{mark}")
    held = [
        factories.enrolled(
            factories.device(f"D{mark}{number}", fleet=fleet, site=site, batch=batch), expires_in=40 * DAY, now=now
        )
        for number in range(_DEVICES)
    ]
    stolen = factories.enrolled(factories.device(f"D{mark}S", fleet=fleet, site=site), expires_in=200 * DAY, now=now)
    ended = factories.enrolled(factories.device(f"D{mark}E", fleet=fleet, batch=batch), expires_in=-3 * DAY, now=now)
    revoked = stolen.certificate
    revoked.state, revoked.revoked_at = CertificateState.REVOKED, now
    revoked.revocation_reason, revoked.activated_at = RevocationReason.KEY_COMPROMISE, None
    revoked.save()
    device, certificate = held[0].device, held[0].certificate
    case = cases.open_case(
        stolen.device,
        finding=f"found {mark}",
        proposal=Verdict.CLEARED,
        now=now,
        actor=investigator(f"finder-{fleet.pk}"),
    )
    plan = Plan(
        f"campaign-{mark}", Selection(fleet, now, now + 100 * DAY), now + 30 * DAY,
        settings=Settings(limits=Limits(to_open=0.9)), waves=Waves(size=1),
    )  # fmt: skip
    campaign = planning.plan(plan, now=now, actor=SYSTEM)
    planning.start(campaign, now=now, actor=SYSTEM)
    campaign.targets.filter(device=device).update(state="triggered", unanswered=True)
    opening.open_due(now, 60 * DAY, 30 * DAY)
    order = WorkOrder.objects.get(device=device)
    team = Team.objects.create(fleet=fleet, name=f"team-{mark}")
    WorkOrder.objects.filter(pk=order.pk).update(team=team)
    DeviceNote.objects.create(device=device, model=f"model-{mark}", battery=f"battery-{mark}", sim=f"sim-{mark}")
    policy = AlertPolicy.objects.create(name=f"policy-{mark}", applies_to="daily", fleet=fleet, thresholds=[90])
    alert = Alert.objects.create(
        kind="device_expiry", urgency=1, certificate=certificate, policy=policy, threshold=90,
        ends_at=certificate.not_after, raised_at=now, level_since=now,
    )  # fmt: skip
    mute = Mute.objects.create(
        fleet=fleet, until=now + DAY, reason=f"reason {mark}", created_at=now, created_by=f"muter-{mark}"
    )
    sighting = UnexpectedSighting.objects.create(
        oddity="revoked", name=f"seen {mark}", source=f"source-{mark}", device=stolen.device, certificate=revoked,
        first_seen_at=now, last_seen_at=now, count=1,
    )  # fmt: skip
    run = ImportRun.objects.create(
        source=f"/import-{mark}.csv", format="csv", fleet=fleet, reading={"fleets": [fleet.pk]}, actor_kind="user",
        actor=f"importer-{mark}", started_at=now, worked_at=now,
    )  # fmt: skip
    happened = record.event(
        AuditAction.RENEWAL_REFUSED, now=now, actor=SYSTEM, object_name=f"object {mark}", device=device
    )
    of_none = record.event(AuditAction.CONFIGURATION_CHANGED, now=now, actor=SYSTEM, object_name=f"fleet: {mark}")
    record.record([happened, of_none])
    crl = Crl.objects.create(
        authority=authority,
        number=1,
        published_at=now,
        this_update=now,
        next_update=now + DAY,
        entries=1,
        size=1,
        sha256=b"1" * 32,
    )
    CliffNotice.objects.create(fleet=fleet, day=certificate.not_after.date(), count=1, noticed_at=now, grew_at=now)
    gateway = Gateway.objects.create(
        name=f"gateway-{mark}", driver="console", channel="sms", fleet=fleet, enabled=True, sender=f"from-{mark}"[:20]
    )
    rehearsal = Rehearsal.objects.create(
        fleets=[fleet.pk], asked_by=f"asker-{mark}", asked_at=now, worked_at=now, devices=50, seed=1,
        scenario=rehearsing.packaged().to_json(),
    )  # fmt: skip
    # People belong to no fleet: their names are no secret of one.
    owner = User.objects.create_user(f"owner-{fleet.pk}", is_staff=True)
    FleetMembership.objects.create(user=owner, fleet=fleet)
    kept = SavedFilter.objects.create(
        owner=owner, list="inventory_device", name=f"kept-{mark}", query=f"q=D{mark}", shared=True, created_at=now
    )
    planted = OneFleet(fleet)
    planted.rows = {
        "inventory_fleet": fleet.pk, "inventory_site": site.pk, "inventory_batch": batch.pk,
        "inventory_profile": profile.pk, "inventory_authority": authority.pk, "inventory_device": device.pk,
        "inventory_certificate": certificate.pk, "inventory_auditevent": happened.pk, "inventory_case": case.pk,
        "inventory_proposal": case.approval_id,
        "inventory_unexpectedsighting": sighting.pk, "inventory_importrun": run.pk, "inventory_alert": alert.pk,
        "inventory_alertpolicy": policy.pk, "inventory_mute": mute.pk, "inventory_expireddevice": ended.device.pk,
        "inventory_revokeddevice": stolen.device.pk, "renewal_campaign": campaign.pk,
        "renewal_target": campaign.targets.first().pk, "revocation_crl": crl.pk, "certportal_savedfilter": kept.pk,
        "renewal_workorder": order.pk, "renewal_team": team.pk, "renewal_devicenote": device.pk,
        "renewal_gateway": gateway.pk, "renewal_rehearsal": rehearsal.pk,
        "slug_fleet": fleet.slug, "slug_profile": profile.slug, "slug_authority": authority.slug,
    }  # fmt: skip
    planted.words = {mark, *(each.certificate.serial for each in (*held, stolen, ended))}
    return planted


def plant_portal() -> dict[str, Any]:
    """Make rows that belong to no fleet; return their keys."""
    now = timezone.now()
    recipient = Recipient.objects.create(name="everybody", channel="email", address="all@example.org")
    run = AlertRun.objects.create(started_at=now, finished_at=now)
    delivery = Delivery.objects.create(
        run=run, recipient=recipient, content={}, certificates=1, created_at=now - timedelta(hours=2)
    )
    mapping = ColumnMapping.objects.create(name="manifest", columns={})
    return {
        "inventory_recipient": recipient.pk,
        "inventory_delivery": delivery.pk,
        "inventory_columnmapping": mapping.pk,
    }


def member(name: str, *fleets: OneFleet, **values: Any) -> User:
    """Make somebody of the staff who sees these fleets."""
    person = User.objects.create_user(name, is_staff=True, **values)
    for each in fleets:
        FleetMembership.objects.create(user=person, fleet=each.fleet)
    return person
