"""A whole campaign on a virtual clock: plan it, tick it, let meters and field team act, count what came of it."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from inventory.audit.record import SYSTEM
from inventory.models import Device, Fleet
from renewal.campaigns import planning
from renewal.campaigns.choosing import Selection
from renewal.campaigns.ladder import LONGEST_WAIT, Ladder
from renewal.campaigns.planning import Plan
from renewal.campaigns.settings import Pace, Settings
from renewal.campaigns.ticking import tick
from renewal.models import Campaign, Channel
from renewal.simulation.fleet import outcome, scratch
from renewal.simulation.fleet.air import Air
from renewal.simulation.fleet.crew import working
from renewal.simulation.fleet.field_work import FieldWork
from renewal.simulation.fleet.firmware import Firmware
from renewal.simulation.fleet.planting import plant
from renewal.simulation.fleet.reporting import Reporting
from renewal.simulation.fleet.scenario import Scenario
from renewal.simulation.fleet.world import World

# Midnight, so that a day of the simulation is a day of the calendar. Which one is of no account.
START = datetime(2027, 1, 4, tzinfo=UTC)
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_HOURS_A_DAY = 24
_MINUTES_AN_HOUR = 60
_TOLD_EVERY = 10
# The database looks at its tables anew by the minute, in which the simulation passes weeks.
_ANALYSED = frozenset({1, 4, 16, 64})
# Of certificates the columns that change: to look at the others takes longer than a day of a small campaign.
_CHANGING = ("renewal_target", "renewal_attempt", "inventory_certificate (state, predecessor_id, issued_at)")
# The first of each channel, and of the steps without a message, is at the head of an index.
_NEXT_STEP = """
    SELECT min(due.next_step_at) FROM unnest(%s::varchar[]) AS over (channel)
    CROSS JOIN LATERAL (
        SELECT target.next_step_at FROM renewal_target target
        WHERE target.campaign_id = %s AND target.channel = over.channel AND target.next_step_at IS NOT NULL
        ORDER BY target.next_step_at LIMIT 1
    ) AS due"""


class LiveDatabase(RuntimeError):
    """The database is not a scratch database of a simulation, or not an empty one."""


@dataclass(frozen=True)
class Result:
    """What came of one run. `days` have passed; `course`: by day, how many targets were in each state at its end."""

    devices: int
    seed: int
    days: int
    rows: outcome.Rows
    expired_reachable: int
    found: Mapping[str, int]
    refusals: Mapping[str, int]
    course: list[dict[str, int]]
    processes: int
    seconds: Mapping[str, float]
    peak_memory_mib: float


def run(devices: int, seed: int, scenario: Scenario, processes: int, say: Callable[[str], None]) -> Result:
    """Simulate until the last certificate has ended, in the database of this process. Raises LiveDatabase.

    With several `processes`, meters register and renew in so many at once.
    """
    _refuse_live()
    started = time.perf_counter()
    days = int(scenario.lead_days + scenario.expiry_spread_days) + 1
    world = World(scenario, seed, days * _HOURS_A_DAY)
    with working(processes) as crew:
        say(f"Registering {devices:,} meters and signing their certificates ...")
        fleet = plant(devices, scenario, seed, START, crew)
        campaign = _campaign(fleet, scenario)
        planted = time.perf_counter()
        air = Air(world, START)
        firmware = Firmware(world, START, days * _HOURS_A_DAY, crew)
        field = FieldWork(world, firmware, START, crew)
        reporting = Reporting(world, firmware, START, devices, days * _HOURS_A_DAY)
        reporting.tell_before(devices)
        days_ended: list[datetime] = []
        step = int(scenario.tick_hours)
        before, hour, next_tick = -step, 0, 0.0
        while hour <= days * _HOURS_A_DAY:
            now = air.now = START + hour * _HOUR
            reporting.tell(hour)
            firmware.hear(air.arrived(before, hour), hour)
            firmware.work(before, hour)
            field.visit(before, hour)
            day_ends = hour // _HOURS_A_DAY > len(days_ended)
            # In between a tick would send nothing, and find what the next one finds as well.
            if hour >= next_tick or day_ends:
                next_tick = _tick(campaign, scenario.ladder, now, air)
            if day_ends:
                field.keep_orders(hour)
                days_ended.append(now)
                if len(days_ended) in _ANALYSED:
                    _analyse()
                if len(days_ended) % _TOLD_EVERY == 0:
                    say(f"Day {len(days_ended)}: {outcome.states(campaign)['confirmed']:,} of {devices:,} renewed.")
            before, hour = hour, hour + step
            # Nothing happens until then.
            soonest = min(air.next_hour, firmware.next_hour, field.next_hour, next_tick, _next_day(before))
            hour += max(math.ceil((soonest - hour) / step), 0) * step
    rows = outcome.counted(campaign, START + days * _DAY)
    course = outcome.course(campaign, days_ended)
    ended = time.perf_counter()
    return Result(
        devices=devices,
        seed=seed,
        days=days,
        rows=rows,
        expired_reachable=sum(world.was_reachable(meter, days * _HOURS_A_DAY) for meter in rows.expired),
        found=dict(sorted(field.found.items())),
        refusals=dict(sorted(firmware.refusals.items())),
        course=course,
        processes=processes,
        seconds={"planting": round(planted - started, 1), "campaign": round(ended - planted, 1)},
        peak_memory_mib=round(crew.peak_memory_mib(), 1),
    )


def _tick(campaign: Campaign, ladder: Ladder, now: datetime, air: Air) -> float:
    """Tick until nothing more leaves now; return the hour of the next tick that may send something.

    One tick sends so much at most, and the next one of the product comes five seconds later.
    """
    waits = [rung.waits(0)[0] for rungs in ladder.rungs.values() for rung in rungs]
    while True:
        report = tick(campaign, now, air.route)
        next_due = _next_due(campaign)
        if report is None or not report.fates.total() or next_due > air.hours(now):
            # Who gets a certificate meanwhile is reminded after a wait, of which the next tick learns.
            return min(next_due, air.hours(now + min(waits, default=LONGEST_WAIT)))


def _next_day(hour: int) -> int:
    return (hour // _HOURS_A_DAY + 1) * _HOURS_A_DAY


def _next_due(campaign: Campaign) -> float:
    """Return the hour of the next step of any target. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_STEP, [["", *Channel.values], campaign.pk])
        [first] = cursor.fetchone()
    # Nothing is paused here, so the campaign's clock is that of the simulation.
    return (first - START) / _HOUR if first else math.inf


def _refuse_live() -> None:
    name = str(connection.settings_dict["NAME"])
    if not name.startswith(scratch.PREFIX) or Device.objects.exists():
        raise LiveDatabase(f"The database {name} is no empty scratch database; a simulation runs in nothing else.")


def _campaign(fleet: Fleet, scenario: Scenario) -> Campaign:
    """Plan the campaign for all certificates, and start it."""
    ends = START + timedelta(days=scenario.lead_days)
    # One tick stands for all those of its hours.
    pace = Pace(int(scenario.messages_a_minute * _MINUTES_AN_HOUR * scenario.tick_hours))
    selection = Selection(fleet, START, ends + timedelta(days=scenario.expiry_spread_days + 1))
    plan = Plan("Simulated", selection, ends, scenario.ladder, Settings(pace))
    campaign = planning.plan(plan, now=START, actor=SYSTEM)
    planning.start(campaign, now=START, actor=SYSTEM, agreed=True)
    _analyse()
    return campaign


def _analyse() -> None:
    with connection.cursor() as cursor:
        for table in _CHANGING:
            cursor.execute(f"ANALYZE {table}")


def as_json(result: Result) -> dict[str, Any]:
    """Return the result as `simulate_fleet --json` prints it, without the model."""
    rows, devices = result.rows, result.devices
    return {
        "devices": devices,
        "days": result.days,
        "seed": result.seed,
        "field_interventions": rows.interventions,
        "field_share": rows.interventions / devices,
        "visits": rows.visits,
        "expired_unvisited": rows.unvisited,
        "expired_in_service": len(rows.expired),
        "expired_reachable": result.expired_reachable,
        "renewed": rows.renewed,
        "orders_opened": rows.orders,
        "orders_by_outcome": dict(rows.outcomes),
        "found_at_visits": dict(result.found),
        "messages": dict(rows.messages),
        "refusals": dict(result.refusals),
        "states": dict(rows.states),
        "course": result.course,
        "processes": result.processes,
        "seconds": dict(result.seconds),
        "peak_memory_mib": result.peak_memory_mib,
    }
