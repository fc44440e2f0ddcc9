"""The wakes of virtual meters come to the portal as sightings, and it tells the next one from them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from inventory.models import Device, DevicePresence
from inventory.sightings.wakes import expected
from renewal.simulation.fleet import scenario
from renewal.simulation.fleet.crew import Crew
from renewal.simulation.fleet.firmware import Firmware
from renewal.simulation.fleet.planting import SLUG, number_of, serial_of
from renewal.simulation.fleet.reporting import Reporting
from renewal.simulation.fleet.world import World
from tests.factories import fleet

START = datetime(2027, 1, 4, tzinfo=UTC)
HOURS, METERS = 90 * 24, 40
HEADLINE = scenario.default().scenario
# The default ladder waits for wakes of deep sleepers alone.
ASLEEP = replace(
    HEADLINE, deep_sleepers=0.5, unreachable_in_window=0.0, no_coverage=0.0, hardware_failures_a_year=0.0,
    transitory=0.0, site_outages_a_year=0.0,
)  # fmt: skip


def told_until(hour: int, scenario_) -> World:
    made = fleet(SLUG)
    Device.objects.bulk_create(
        Device(fleet=made, serial=serial_of(meter), registered_at=START) for meter in range(METERS)
    )
    world = World(scenario_, 7, HOURS)
    reporting = Reporting(world, Firmware(world, START, HOURS, Crew(1)), START, METERS, HOURS)
    reporting.tell_before(METERS)
    for day in range(0, hour, 24):
        reporting.tell(day)
    return world


@pytest.mark.django_db
def test_the_next_wake_of_a_deep_sleeper_is_told_from_its_sightings():
    # Well between two restarts of the cycle.
    hour = 20 * 24
    world = told_until(hour + 24, ASLEEP)
    deep = [meter for meter in range(METERS) if world.meters.sleeps_deep(meter)]
    seen = {number_of(each.device.serial): each for each in DevicePresence.objects.exclude(wakes=None)}
    assert sorted(seen) == deep
    for meter in deep:
        wake = expected(seen[meter].wakes, START + timedelta(hours=hour))
        assert wake
        assert abs(START + timedelta(hours=world.meters.next_wake(meter, hour + 0.3)) - wake.at) <= wake.within


@pytest.mark.django_db
def test_of_a_fleet_whose_wakes_nobody_tells_none_is_known():
    told_until(48, replace(ASLEEP, wakes_reported=0.0))
    assert not DevicePresence.objects.exclude(last_seen_at=None).exists()
