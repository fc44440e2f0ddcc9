"""A campaign of three months into a real Mosquitto and another's message centre, counted again by outsiders.

What left is what the broker's log and the message centre tell. Who has to be visited, and which certificates stand, is
asked of the rows of attempts and certificates alone, never of what the campaign believes of its targets.
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection

from inventory.audit.record import SYSTEM
from inventory.models import Certificate, Connectivity
from inventory.sightings import record_sighting
from renewal.campaigns import planning, ticking
from renewal.campaigns.choosing import Selection
from renewal.campaigns.ladder import Ladder, Rung
from renewal.campaigns.planning import Plan
from renewal.channels import routes
from renewal.channels.mqtt import Broker, MqttChannel
from renewal.channels.routes import PlainWay, Way
from renewal.channels.sealing import sealed
from renewal.field import closing, opening
from renewal.models import Campaign, Channel, Driver
from tests.factories import DAY, NOW, Enrolled, device, enrolled, fleet
from tests.renewal.campaigns.test_campaigns import renew
from tests.renewal.channels.gateways import gateway
from tests.renewal.channels.message_centre import PASSWORD, SYSTEM_ID, MessageCentre

pytestmark = [pytest.mark.e2e, pytest.mark.django_db, pytest.mark.usefixtures("loopback")]
HOUR = timedelta(hours=1)
EXPIRES_IN = 89 * DAY
TICK = 12 * HOUR
WAIT = 3 * DAY
LEAD, SPAN = 60 * DAY, 30 * DAY
RUNGS = (Rung(Channel.MQTT, WAIT, 2, WAIT), Rung(Channel.SMS, WAIT, 2, WAIT))
# How many devices of each kind, and after how many hours the first of a kind does something.
KINDS = {"prompt": 40, "late": 10, "unused": 3, "silent": 6, "numberless": 3}
BACK_AFTER = 45 * DAY
_PUBLISH = re.compile(r"Received PUBLISH from .*'certportal/demo/(\S+)/renew'")


class Meters:
    """Devices that act at their hours: fetch the next certificate, and use it."""

    def __init__(self) -> None:
        self._acts: list[tuple[datetime, Enrolled, bool]] = []
        self._fetched: dict[str, Certificate] = {}
        for kind, number in KINDS.items():
            for place in range(number):
                serial = f"{kind}-{place}"
                # Two digits for each kind, so that no number is of two devices.
                phone = "" if kind == "numberless" else f"+6012{list(KINDS).index(kind):02}{place:05}"
                made = device(serial, mqtt_id=serial, phone_number=phone)
                self._plan(kind, place, enrolled(made, expires_in=EXPIRES_IN))
        self._acts.sort(key=lambda act: act[0])

    def _plan(self, kind: str, place: int, meter: Enrolled) -> None:
        fetch_and_use = {
            "prompt": (NOW + 5 * HOUR + place * HOUR, 6 * HOUR),
            # After the first SMS, which follows two waits over MQTT, the second of them twice as long.
            "late": (NOW + 9 * DAY + 13 * HOUR + place * HOUR, 6 * HOUR),
            "unused": (NOW + 2 * DAY + place * HOUR, 68 * DAY),
        }
        if kind == "silent" and place == 0:
            fetch_and_use[kind] = (NOW + BACK_AFTER - HOUR, HOUR)
        if kind in fetch_and_use:
            fetches, uses_after = fetch_and_use[kind]
            self._acts += [(fetches, meter, False), (fetches + uses_after, meter, True)]

    def act(self, now: datetime) -> None:
        """Let those act whose hour has come."""
        while self._acts and self._acts[0][0] <= now:
            at, meter, uses = self._acts.pop(0)
            if uses:
                record_sighting(self._fetched.pop(meter.device.serial), meter.device, now=at, actor=SYSTEM)
            else:
                self._fetched[meter.device.serial] = renew(meter, at)


def asked(query: str, **parameters: object) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchall()


def serials(query: str, **parameters: object) -> set[str]:
    return {serial for (serial,) in asked(query, **parameters)}


ON_THE_LIST = """
    SELECT d.serial FROM renewal_workorder o JOIN inventory_device d ON d.id = o.device_id WHERE o.closed_at IS NULL"""
TO_BE_VISITED = """
    SELECT d.serial FROM inventory_device d JOIN inventory_certificate c ON c.device_id = d.id
    WHERE c.issued_at < %(start)s AND c.not_after <= %(now)s + interval '60 days'
      AND NOT EXISTS (SELECT FROM inventory_certificate n WHERE n.device_id = d.id AND n.issued_at >= %(start)s)
      AND (SELECT count(DISTINCT a.channel) FROM renewal_attempt a JOIN renewal_target t ON t.id = a.target_id
           WHERE t.device_id = d.id AND a.at <= %(now)s - interval '3 days')
        = CASE WHEN d.phone_number = '' THEN 1 ELSE 2 END"""
LOCKED_OUT = """
    SELECT d.serial FROM inventory_device d WHERE NOT EXISTS (
        SELECT FROM inventory_certificate c
        WHERE c.device_id = d.id AND c.not_after > %(now)s AND c.state = 'confirmed')"""
SUPERSEDED_TOO_SOON = """
    SELECT d.serial FROM inventory_certificate c JOIN inventory_device d ON d.id = c.device_id
    LEFT JOIN inventory_certificate n ON n.id = c.successor_id
    WHERE c.state = 'superseded' AND n.activated_at IS NULL"""
ATTEMPTS = """
    SELECT d.mqtt_id, d.phone_number, a.channel, a.at, a.outcome,
           a.at - lag(a.at) OVER (PARTITION BY d.id ORDER BY a.at),
           (SELECT min(n.issued_at) FROM inventory_certificate n WHERE n.device_id = d.id AND n.issued_at >= %(start)s)
    FROM renewal_attempt a JOIN renewal_target t ON t.id = a.target_id JOIN inventory_device d ON d.id = t.device_id
    ORDER BY a.at"""


@contextmanager
def message_centre() -> Iterator[MessageCentre]:
    with MessageCentre().running() as centre:
        own = {"host": "127.0.0.1", "port": centre.port, "tls": False, "system_id": SYSTEM_ID, "system_type": ""}
        gateway(Driver.SMPP, settings=own, sealed_secret=sealed(PASSWORD))
        yield centre


def started() -> Campaign:
    selection = Selection(fleet(), NOW, NOW + EXPIRES_IN + DAY)
    plan = Plan("Whole", selection, NOW + EXPIRES_IN, Ladder(dict.fromkeys(Connectivity, RUNGS)))
    campaign = planning.plan(plan, now=NOW, actor=SYSTEM)
    planning.start(campaign, now=NOW, actor=SYSTEM)
    return campaign


def through(campaign: Campaign, broker: Broker, meters: Meters) -> Iterator[datetime]:
    """Let three months pass: two ticks a day, and the jobs of the field team's list after each."""
    now = NOW
    while now < NOW + EXPIRES_IN - DAY:

        def route(channel: Channel, now: datetime = now) -> Way | None:
            if channel is Channel.MQTT:
                return PlainWay(channel.value, MqttChannel(broker, clock=lambda: now))
            return routes.route(channel, campaign.fleet_id, lambda: now)

        meters.act(now)
        ticking.tick(campaign, now, route)
        opening.open_due(now, LEAD, SPAN)
        closing.close_renewed(now)
        yield now
        now += TICK


def test_three_months_are_as_foreign_tools_and_independent_queries_count_them(broker, tmp_path: Path):
    meters = Meters()
    lists: dict[datetime, set[str]] = {}
    with message_centre() as centre:
        for now in through(started(), broker, meters):
            lists[now] = serials(ON_THE_LIST)
            assert lists[now] == serials(TO_BE_VISITED, now=now, start=NOW)
            assert serials(LOCKED_OUT, now=now) == set()
            assert serials(SUPERSEDED_TOO_SOON) == set()
    attempts = asked(ATTEMPTS, start=NOW)

    # MQTT trigger queue: the broker's own log.
    published = Counter(_PUBLISH.findall((tmp_path / "mosquitto.log").read_text()))
    assert published == Counter(mqtt_id for mqtt_id, _phone, channel, *_rest in attempts if channel == "mqtt")
    assert {outcome for *_who, outcome, _apart, _renewed in attempts} == {"sent"}

    # SMS fallback: the message centre's own count. None before MQTT was waited for, none without a number or a need.
    texted = Counter("+" + message.destination_addr for message in centre.taken)
    assert texted == Counter(phone for _mqtt_id, phone, channel, *_rest in attempts if channel == "sms")
    first_sms = {mqtt_id: at for mqtt_id, _phone, channel, at, *_rest in reversed(attempts) if channel == "sms"}
    assert min(first_sms.values()) >= NOW + WAIT
    assert {mqtt_id.partition("-")[0] for mqtt_id in first_sms} == {"late", "silent", "unused"}
    assert not any(b"secret" in message.short_message or b"BEGIN" in message.short_message for message in centre.taken)

    # Retry: nobody is triggered twice within the patience, and who answered promptly only once.
    assert min(apart for *_rest, apart, _renewed in attempts if apart) >= WAIT
    assert {number for mqtt_id, number in published.items() if mqtt_id.startswith("prompt")} == {1}

    # Field escalation list: empty until 60 days before the end, and left by itself when a device came back.
    visited = {f"{kind}-{place}" for kind in ("silent", "numberless") for place in range(KINDS[kind])}
    for now, listed in lists.items():
        due = now >= NOW + EXPIRES_IN - LEAD
        assert listed == ((visited - {"silent-0"} if now >= NOW + BACK_AFTER else visited) if due else set())

    # Old-cert fallback: a certificate that was fetched and not used is asked for again.
    reminded = {mqtt_id for mqtt_id, *_rest, at, _outcome, _apart, renewed in attempts if renewed and at > renewed}
    assert reminded == {f"unused-{place}" for place in range(KINDS["unused"])}

    # Renewal campaign: each device is accounted for.
    assert dict(asked("SELECT state, count(*) FROM renewal_target GROUP BY 1")) == {
        "confirmed": KINDS["prompt"] + KINDS["late"] + KINDS["unused"] + 1,
        "escalated": len(visited) - 1,
    }
