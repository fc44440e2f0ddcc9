"""Campaigns of millions: planning them, ticks in which nothing happened, and steps that are due.

Everything but the air: the channel takes each message at once. Two fleets, a hundred times apart in size at full size:
what a tick costs may grow with what happened, and not with the fleet.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from statistics import median

import django_rq
from django.db import connection
from rq import SimpleWorker

from benchmarks import mosquitto, planted, portal
from benchmarks.figure import Figure
from benchmarks.measuring import ROUNDS, Size
from inventory.audit.record import SYSTEM
from inventory.models import Certificate
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.ladder import DEFAULT
from renewal.campaigns.planning import Plan
from renewal.campaigns.settings import Pace, Settings
from renewal.campaigns.ticking import tick
from renewal.channels.messages import Fate, TriggerChannel
from renewal.channels.mqtt import Broker, MqttChannel
from renewal.channels.recording import RecordingChannel
from renewal.channels.routes import PlainWay
from renewal.models import Campaign, Channel, Target, TargetState

_DAY = timedelta(days=1)
_FLEETS = {Size.SMALL: (2_000, 20_000), Size.FULL: (22_000, 2_200_000)}
# Due at the same moment, as when a campaign of 370,000 begins with all at once.
_DUE = {Size.SMALL: 2_000, Size.FULL: 370_000}
_ALONE = {Size.SMALL: 50, Size.FULL: 500}
_STEP = {Size.SMALL: 1_000, Size.FULL: 10_000}
_TRIGGERS = {Size.SMALL: 2_000, Size.FULL: 100_000}
_NO_LIMIT = Settings(Pace(a_minute=100_000_000))

_RENEW = """
    WITH device AS (
        SELECT target.device_id, old.id AS predecessor_id, target.id AS number
        FROM renewal_target target JOIN inventory_certificate old ON old.id = target.certificate_id
        WHERE target.campaign_id = %(campaign)s AND target.state = 'triggered'
    ), renewed AS (
        INSERT INTO inventory_certificate ({columns})
        SELECT {values} FROM device, inventory_certificate template WHERE template.id = %(template)s
        RETURNING id, device_id
    )
    INSERT INTO inventory_auditevent (at, action, actor_kind, actor, request_id, object_name, device_id, certificate_id,
                                      details)
    SELECT %(now)s, 'certificate:use:confirmed', 'device', '', '', '', device_id, id, '{{}}' FROM renewed"""
_NEW = {
    "device_id": "device.device_id",
    "predecessor_id": "device.predecessor_id",
    "serial": "'e' || to_hex(device.number)",
    "issuance_index": "NULL::bigint",
    "sha256": "sha256(('renewed ' || device.number)::bytea)",
    "spki_sha256": "sha256(('key ' || device.number)::bytea)",
    "state": "'confirmed'",
    "issued_at": "%(now)s::timestamptz",
    "activated_at": "%(now)s::timestamptz",
}


def run(size: Size) -> list[Figure]:
    now = datetime.now(UTC)
    with portal.running():
        portal.refuse_forgetful_database()
        small, large = (_planned(f"planted-{devices}", devices, now) for devices in _FLEETS[size])
        idle = [_idle(campaign, size, now) for campaign, _seconds in (small, large)]
        steps = [_step(campaign, size, now) for campaign, _seconds in (small, large)]
        triggers = _into_mosquitto(large[0], size, now) if mosquitto.is_installed() else None
        alone = _one_job_a_device(large[0], size, now)
        through = _whole_campaign(large[0], size, now)
        targets = large[0].targets.count()
    return [*_figures(size, targets / large[1], idle, steps, alone, through), *_triggers(triggers)]


def _planned(slug: str, devices: int, now: datetime) -> tuple[Campaign, float]:
    """Return a running campaign for all of a new fleet, and the seconds in which it was planned."""
    fleet = planted.fleet(devices, now, slug=slug).fleet
    selection = Selection(fleet, now - 30 * _DAY, now + 4 * 365 * _DAY)
    started = time.perf_counter()
    campaign = planning.plan(Plan(slug, selection, now + 90 * _DAY, DEFAULT, _NO_LIMIT), now=now, actor=SYSTEM)
    seconds = time.perf_counter() - started
    planning.start(campaign, now=now, actor=SYSTEM, agreed=True)
    _hold_all(campaign, now)
    _vacuum()
    return Campaign.objects.select_related("fleet").get(pk=campaign.pk), seconds


def _hold_all(campaign: Campaign, now: datetime) -> None:
    """Let every target wait for an answer."""
    Target.objects.filter(campaign=campaign, ends_at__lte=now).update(
        state=TargetState.FAILED, next_step_at=None, channel=""
    )
    Target.objects.filter(campaign=campaign, ends_at__gt=now).update(
        state=TargetState.TRIGGERED, triggered_at=now, next_step_at=now + 60 * _DAY, channel=Channel.MQTT
    )


def _vacuum() -> None:
    with connection.cursor() as cursor:
        for table in ("renewal_target", "renewal_attempt", "renewal_targetmove", "inventory_auditevent"):
            cursor.execute(f"VACUUM (ANALYZE) {table}")


def _tick(campaign: Campaign, now: datetime, channel: TriggerChannel | None = None) -> int:
    """Run a tick; return how many messages left, over a channel that takes each at once if over no other."""
    way = PlainWay("benchmark", channel or RecordingChannel())
    report = tick(campaign, now, dict.fromkeys(Channel, way).get)
    assert report
    assert set(report.fates) <= {Fate.TAKEN}, report.fates
    return report.fates[Fate.TAKEN]


def _ticks_until_nothing_leaves(campaign: Campaign, now: datetime, channel: TriggerChannel | None = None) -> int:
    """Run ticks, each of which sends a part of very many messages; return how many left."""
    sent = 0
    while more := _tick(campaign, now, channel):
        sent += more
    return sent


def _idle(campaign: Campaign, size: Size, now: datetime) -> float:
    """Return the median seconds of a tick in which nothing has happened."""
    # The first two look at every target.
    for _ in range(2):
        _tick(campaign, now)
    seconds = []
    for _ in range(ROUNDS[size] * 3):
        started = time.perf_counter()
        assert _tick(campaign, now) == 0
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def _let_be_due(campaign: Campaign, number: int, now: datetime) -> None:
    chosen = Target.objects.filter(campaign=campaign, state=TargetState.TRIGGERED).order_by("-ends_at")[:number]
    Target.objects.filter(pk__in=list(chosen.values_list("pk", flat=True))).update(
        next_step_at=now - _DAY, rung=0, rung_attempts=0, channel=Channel.MQTT
    )
    _vacuum()


def _step(campaign: Campaign, size: Size, now: datetime) -> float:
    """Return the median seconds for one due target, of many at once."""
    seconds = []
    for number in range(ROUNDS[size]):
        _let_be_due(campaign, _STEP[size], now)
        started = time.perf_counter()
        assert _tick(campaign, now + timedelta(minutes=number)) == _STEP[size]
        seconds.append((time.perf_counter() - started) / _STEP[size])
    return median(seconds)


def _into_mosquitto(campaign: Campaign, size: Size, now: datetime) -> float:
    """Return the seconds for one trigger into a real broker: claimed, acknowledged by the broker, and written down."""
    number = _TRIGGERS[size]
    _let_be_due(campaign, number, now)
    with mosquitto.running() as address:
        channel = MqttChannel(Broker.from_url(address), clock=lambda: datetime.now(UTC))
        started = time.perf_counter()
        assert _ticks_until_nothing_leaves(campaign, now + _DAY / 2, channel) == number
        seconds = time.perf_counter() - started
    return seconds / number


def step_of_one(target: int, at: str) -> None:
    """Do for one device what a job a device would do: read it, send, write down."""
    found = Target.objects.select_related("device", "certificate").defer("certificate__der").get(pk=target)
    assert found.device.mqtt_id
    found.attempts_made += 1
    found.next_step_at = datetime.fromisoformat(at) + 3 * _DAY
    found.attempts.create(number=found.attempts_made + 1000, channel=Channel.MQTT, at=at, outcome="sent")
    found.save(update_fields=["attempts_made", "next_step_at"])


def _one_job_a_device(campaign: Campaign, size: Size, now: datetime) -> float:
    """Return the seconds for one target with a job for each, as a queue is mostly used."""
    targets = list(Target.objects.filter(campaign=campaign, state=TargetState.TRIGGERED)[: _ALONE[size]])
    queue = django_rq.get_queue("default")
    started = time.perf_counter()
    for target in targets:
        queue.enqueue(step_of_one, target.pk, now.isoformat(), result_ttl=0)
    worker = SimpleWorker([queue], connection=queue.connection, serializer=queue.serializer)
    worker.work(burst=True, logging_level="WARNING")
    return (time.perf_counter() - started) / len(targets)


def _whole_campaign(campaign: Campaign, size: Size, now: datetime) -> float:
    """Return the seconds that all ticks take, from targets that are due to targets that are confirmed."""
    _let_be_due(campaign, _DUE[size], now)
    Target.objects.filter(campaign=campaign, next_step_at__gt=now).update(
        state=TargetState.WITHDRAWN, next_step_at=None
    )
    later = now + _DAY
    started = time.perf_counter()
    assert _ticks_until_nothing_leaves(campaign, later) == _DUE[size]
    seconds = time.perf_counter() - started
    _let_renew(campaign, later)
    started = time.perf_counter()
    _tick(campaign, later + timedelta(minutes=1))
    seconds += time.perf_counter() - started
    confirmed = Target.objects.filter(campaign=campaign, state=TargetState.CONFIRMED).count()
    assert confirmed == _DUE[size], confirmed
    return seconds


def _let_renew(campaign: Campaign, now: datetime) -> None:
    """Give every device that was asked its next certificate, used already, as gate, door and sightings would."""
    template = Certificate.objects.of_devices().latest("pk")
    columns = {field.column: f"template.{field.column}" for field in Certificate._meta.fields if field.column != "id"}
    columns |= _NEW
    statement = _RENEW.format(columns=", ".join(columns), values=", ".join(columns.values()))
    with connection.cursor() as cursor:
        cursor.execute(statement, {"campaign": campaign.pk, "template": template.pk, "now": now})
    _vacuum()


def _figures(
    size: Size, planned_a_second: float, idle: Sequence[float], steps: Sequence[float], alone: float, through: float
) -> list[Figure]:
    minute = Figure("a_minute_for_2.2_million", 2_200_000 / 60, "targets/s")
    planned = Figure("campaign.planned_per_s", planned_a_second, "targets/s")
    idle_small, idle_large = (
        Figure(f"campaign.idle_tick_of_{devices}_ms", seconds * 1000, "ms")
        for devices, seconds in zip(_FLEETS[size], idle, strict=True)
    )
    fifty_ms = Figure("ticks_of_50_ms", 1000 / 50, "idle ticks/s")
    step_small, step_large = (
        Figure(f"campaign.steps_of_{devices}_per_s", 1 / seconds, "targets/s")
        for devices, seconds in zip(_FLEETS[size], steps, strict=True)
    )
    one_by_one = Figure("campaign.one_job_a_device_per_s", 1 / alone, "targets/s")
    ten_minutes = Figure("370_000_in_ten_minutes", 370_000 / 600, "targets/s")
    whole = Figure("P18", _DUE[size] / through, "targets/s")
    return [
        planned.beside(minute).asked(floor=1),
        idle_small,
        idle_large.beside(idle_small),
        # As a rate, so that more is better as everywhere.
        Figure("P21", 1 / idle[1], "idle ticks/s").beside(fifty_ms).asked(floor=0.25, aim=1),
        one_by_one,
        step_small,
        step_large.beside(step_small).asked(floor=1 / 1.3),
        step_large.beside(one_by_one, "P16").asked(floor=100, aim=500),
        whole.beside(ten_minutes).asked(floor=1, aim=10),
    ]


def _triggers(seconds: float | None) -> list[Figure]:
    if seconds is None:
        print("There is no figure of triggers into Mosquitto, which is not installed.", flush=True)
        return []
    five_thousand = Figure("5_000_triggers_a_second", 5_000, "triggers/s")
    return [Figure("campaign.triggers_into_mosquitto_per_s", 1 / seconds, "triggers/s").beside(five_thousand)]
