"""Rows of renewal for tests, made through the product's own doors."""

from inventory.audit.record import SYSTEM
from inventory.models import Device, Fleet
from renewal import secrets
from renewal.campaigns import planning
from renewal.campaigns.planning import Pace, Plan, Selection
from renewal.models import Campaign, EnrolmentProtocol, Target
from tests.factories import DAY, NOW, Enrolled, device, enrolled, fleet


def secret_of(device_: Device, *, now=NOW) -> str:
    return secrets.create(device_, EnrolmentProtocol.EST, now=now, actor=SYSTEM)


def meters(number: int, *, expires_in=30 * DAY) -> list[Enrolled]:
    return [
        enrolled(device(f"M{index:04}", mqtt_id=f"meter-{index}"), expires_in=expires_in) for index in range(number)
    ]


def running_campaign(fleet_: Fleet | None = None, **pace) -> Campaign:
    selection = Selection(fleet_ or fleet(), NOW, NOW + 60 * DAY)
    campaign = planning.plan(Plan("Spring", selection, NOW + 50 * DAY, Pace(**pace)), now=NOW, actor=SYSTEM)
    planning.start(campaign, now=NOW, actor=SYSTEM)
    campaign.refresh_from_db()
    return campaign


def campaign_with_targets(_meters: list[Enrolled]) -> list[Target]:
    return list(running_campaign().targets.order_by("pk"))
