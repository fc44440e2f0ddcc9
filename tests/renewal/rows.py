"""Rows of renewal for tests, made through the product's own doors."""

from datetime import datetime, timedelta

from inventory.audit.record import SYSTEM
from inventory.models import Connectivity, Device, Fleet
from renewal import secrets
from renewal.campaigns import planning, ticking
from renewal.campaigns.choosing import Selection
from renewal.campaigns.ladder import Ladder, Rung
from renewal.campaigns.planning import Plan
from renewal.campaigns.settings import Pace, Settings
from renewal.campaigns.ticking import TickReport
from renewal.channels.messages import TriggerChannel
from renewal.channels.routes import PlainWay
from renewal.models import Campaign, Channel, EnrolmentProtocol, Target
from tests.factories import DAY, NOW, Enrolled, device, enrolled, fleet


def secret_of(device_: Device, *, now=NOW) -> str:
    return secrets.create(device_, EnrolmentProtocol.EST, now=now, actor=SYSTEM)


def meters(number: int, *, expires_in=30 * DAY) -> list[Enrolled]:
    return [
        enrolled(device(f"M{index:04}", mqtt_id=f"meter-{index}"), expires_in=expires_in) for index in range(number)
    ]


def ladder_of(*rungs: Rung) -> Ladder:
    """Return a ladder with the same rungs for every class."""
    return Ladder(dict.fromkeys(Connectivity, rungs))


def over_mqtt(patience: timedelta = 3 * DAY, attempts: int = 5) -> Ladder:
    return ladder_of(Rung(Channel.MQTT, patience, attempts, patience))


def planned_campaign(
    fleet_: Fleet | None = None, *, ladder: Ladder | None = None, pace: Pace | None = None, now: datetime = NOW
) -> Campaign:
    selection = Selection(fleet_ or fleet(), NOW, NOW + 60 * DAY)
    plan = Plan("Spring", selection, NOW + 50 * DAY, ladder or over_mqtt(), Settings(pace or Pace()))
    return planning.plan(plan, now=now, actor=SYSTEM)


def running_campaign(
    fleet_: Fleet | None = None, *, ladder: Ladder | None = None, pace: Pace | None = None
) -> Campaign:
    """Return a campaign that asks over MQTT, unless another ladder is given."""
    campaign = planned_campaign(fleet_, ladder=ladder, pace=pace)
    planning.start(campaign, now=NOW, actor=SYSTEM)
    campaign.refresh_from_db()
    return campaign


def tick(
    campaign: Campaign, now: datetime, mqtt: TriggerChannel | None = None, **others: TriggerChannel
) -> TickReport | None:
    """Tick in a portal with these channels set up, by their names."""
    set_up = {"mqtt": mqtt, **others}
    ways = {Channel(name): PlainWay(name, channel) for name, channel in set_up.items() if channel}
    return ticking.tick(campaign, now, ways.get)


def campaign_with_targets(_meters: list[Enrolled]) -> list[Target]:
    return list(running_campaign().targets.order_by("pk"))
