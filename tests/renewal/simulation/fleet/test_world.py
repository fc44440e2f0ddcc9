"""The virtual meters and their faults, by what the scenario says of them."""

import math
from dataclasses import replace

import pytest

from renewal.simulation.fleet import model, scenario
from renewal.simulation.fleet.faults import Kind
from renewal.simulation.fleet.model import ModelRefused
from renewal.simulation.fleet.world import World

HEADLINE = scenario.default().scenario
DAYS_90 = 90 * 24
# Every meter awake each day, none with a fault.
QUIET = replace(
    HEADLINE,
    deep_sleepers=0.0,
    unreachable_in_window=0.0,
    no_coverage=0.0,
    hardware_failures_a_year=0.0,
    transitory=0.0,
    site_outages_a_year=0.0,
    sms_lost=0.0,
    outdated_numbers=0.0,
)


def test_the_model_is_what_it_says():
    proven = model.proven(HEADLINE, seed=7)
    assert proven.unreachable_in_window == pytest.approx(0.07, abs=0.002)
    assert proven.longest_sleep_hours == pytest.approx(72)
    assert proven.sms_of_24_h_reaches_72_h_sleeper == pytest.approx(1 / 3, abs=0.02)


def test_a_model_that_does_not_do_what_it_says_is_refused():
    # More meters without coverage than are said to be unreachable at all.
    with pytest.raises(ModelRefused, match=r"share unreachable in a window: the model gives 0\.[12]"):
        model.proven(replace(HEADLINE, no_coverage=0.2), seed=7, meters=5_000)


def test_later_windows_are_as_bad_as_the_first():
    world = World(HEADLINE, 7, 2 * DAYS_90)
    away = sum(
        bool(world.faults.persistent(meter)) and world.next_contact(meter, 2000, 2000 + DAYS_90) is None
        for meter in range(50_000)
    )
    assert away / 50_000 == pytest.approx(0.07, abs=0.004)


@pytest.mark.parametrize("deep", [0.0, 1.0])
def test_a_meter_sleeps_no_longer_than_it_may(deep):
    world = World(replace(QUIET, deep_sleepers=deep), 7, DAYS_90)
    longest = 72 if deep else 24
    for meter in range(50):
        wake = world.meters.next_wake(meter, 0.0)
        assert wake <= longest
        while wake < DAYS_90:
            following = world.meters.next_wake(meter, math.nextafter(wake, math.inf))
            assert 0 < following - wake <= longest + 1e-6
            wake = following


def test_meters_restart_on_days_of_their_own():
    meters = World(QUIET, 7, DAYS_90).meters

    def keeps_its_hour(meter: int, day: int) -> bool:
        wake = meters.next_wake(meter, day * 24)
        return meters.next_wake(meter, wake + 1) - wake == pytest.approx(24)

    restarted = [sum(not keeps_its_hour(meter, day) for meter in range(3_000)) for day in range(30)]
    assert sum(restarted) == pytest.approx(3_000, rel=0.05)
    assert max(restarted) < 2 * 3_000 / 30


def test_an_sms_waits_at_the_operator_no_longer_than_the_operator_keeps_it():
    world = World(replace(QUIET, deep_sleepers=1.0, sms_validity_hours=24.0), 7, DAYS_90)
    waits = [world.sms_arrives(meter, 1, 500.0, 500.0 + 72) for meter in range(5_000)]
    arrived = [at - 500 for at in waits if at is not None]
    assert max(arrived) <= 24
    assert len(arrived) / 5_000 == pytest.approx(1 / 3, abs=0.03)


def test_a_message_over_mqtt_waits_at_the_broker_until_the_wake():
    world = World(replace(QUIET, deep_sleepers=1.0), 7, DAYS_90)
    assert all(world.next_contact(meter, 500.0, 500.0 + 72) is not None for meter in range(1_000))


def test_a_lost_session_stops_mqtt_and_not_sms_which_restarts_it():
    world = World(replace(QUIET, unreachable_in_window=0.3, sms_restarts_session=1.0), 7, DAYS_90)
    meter = next(each for each in range(1_000) if world.next_contact(each, 0.0, DAYS_90) is None)
    assert {fault.kind for fault in world.faults.of(meter)} == {Kind.SESSION}
    arrived = world.sms_arrives(meter, 1, 100.0, 200.0)
    assert arrived is not None
    assert world.hears_sms(meter, arrived)
    assert world.next_contact(meter, arrived, arrived + 24) is not None


def test_no_coverage_stops_sms_too():
    for_ever = replace(QUIET, no_coverage=0.5, unreachable_in_window=0.5, coverage_repaired_a_week=1e-9)
    world = World(for_ever, 7, DAYS_90)
    dead = [each for each in range(500) if world.found_at_visit(each, 0) is Kind.NO_COVERAGE]
    assert len(dead) == pytest.approx(250, abs=50)
    assert all(world.sms_arrives(meter, 1, 0.0, 20.0) is None for meter in dead)


def test_a_base_station_takes_all_meters_of_its_site_with_it():
    world = World(replace(QUIET, site_outages_a_year=50.0, site_outage_mean_hours=200.0), 7, DAYS_90)
    [(begin, end), *_] = [each for each in world.sites.outages(0) if each[0] > 0 and each[1] - each[0] > 48]
    for meter in (0, 1, 499):
        assert world.next_contact(meter, begin, end - 1e-6) is None


def test_a_wake_is_found_after_a_fault_that_ends_in_time():
    world = World(replace(QUIET, transitory=0.5, transitory_mean_days=1.0), 7, DAYS_90)
    for meter in range(200):
        contact = world.next_contact(meter, 100.0, DAYS_90)
        assert contact is not None
        assert not any(fault.lasts_at(contact) for fault in world.faults.of(meter))


def test_one_number_changed_leaves_the_luck_of_all_else():
    before, after = World(HEADLINE, 7, DAYS_90), World(replace(HEADLINE, sms_lost=0.9), 7, DAYS_90)
    for meter in range(300):
        assert before.faults.of(meter) == after.faults.of(meter)
        assert before.next_contact(meter, 50.0, 500.0) == after.next_contact(meter, 50.0, 500.0)
