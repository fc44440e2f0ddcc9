"""What virtual meters do once a message has arrived."""

import math
from datetime import UTC, datetime

import pytest

from renewal.models import Channel
from renewal.simulation.fleet import scenario
from renewal.simulation.fleet.air import Arrival
from renewal.simulation.fleet.crew import Crew
from renewal.simulation.fleet.firmware import Firmware
from renewal.simulation.fleet.world import World

HOURS = 90 * 24


@pytest.mark.django_db
def test_a_meter_that_was_replaced_asks_for_nothing_any_more(django_assert_num_queries):
    world = World(scenario.default().scenario, 7, HOURS)
    firmware = Firmware(world, datetime(2027, 1, 4, tzinfo=UTC), HOURS, Crew(1))
    firmware.hear([Arrival(3, Channel.MQTT)], 10)
    firmware.take_away(3)
    firmware.hear([Arrival(3, Channel.MQTT)], 10)
    with django_assert_num_queries(0):
        firmware.work(9, 10)
    assert firmware.next_hour == math.inf
    assert not firmware.refusals
