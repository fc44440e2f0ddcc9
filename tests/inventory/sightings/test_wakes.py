"""The next wake, told from the last ones: through missed wakes, restarts and jitter, or not at all."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inventory.sightings.wakes import expected

HOUR = 60
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = 30_000_000


def at(minute: float) -> datetime:
    return EPOCH + timedelta(minutes=minute)


def minutes(moment: datetime) -> float:
    return (moment - EPOCH) / timedelta(minutes=1)


def wakes_of(*gaps: int) -> list[int]:
    """Return wakes, the newest first, with these gaps from the oldest on; the newest is at START."""
    wakes = [START]
    for gap in reversed(gaps):
        wakes.append(wakes[-1] - gap)
    return wakes


def test_a_meter_that_wakes_daily_at_its_hour_wakes_at_it_again():
    found = expected(wakes_of(DAY, DAY, DAY), at(START + HOUR))
    assert found
    assert (found.at, found.within) == (at(START + DAY), timedelta(minutes=15))


@pytest.mark.parametrize(
    ("gaps", "period"),
    [
        ([DAY] * 3, DAY),
        ([3 * DAY] * 7, 3 * DAY),
        # Wakes that nobody saw.
        ([DAY, 2 * DAY, DAY, DAY], DAY),
        ([DAY, DAY, DAY, 2 * DAY], DAY),
        ([3 * DAY, 3 * DAY, 9 * DAY, 3 * DAY, 3 * DAY], 3 * DAY),
        # Restarts, also where the odd gap divides the period.
        ([DAY, DAY, DAY, 7 * HOUR, DAY], DAY),
        ([3 * DAY, 3 * DAY, DAY, 3 * DAY, 3 * DAY], 3 * DAY),
    ],
)
def test_the_cycle_is_found_through_missed_wakes_and_restarts(gaps, period):
    found = expected(wakes_of(*gaps), at(START + 1))
    assert found
    assert found.at == at(START + period)


@pytest.mark.parametrize(
    "gaps",
    [
        [],
        [DAY, DAY],
        # It has just been restarted, or woke for some other reason.
        [DAY, DAY, DAY, DAY, 7 * HOUR],
        # Twice a day, not twelve hours apart.
        [6 * HOUR, 18 * HOUR] * 3 + [6 * HOUR],
        [5 * HOUR, 31 * HOUR, 2 * HOUR, 50 * HOUR, 17 * HOUR, 90 * HOUR, 3 * HOUR],
        # No wakes at all, as nobody should have written them.
        [DAY, DAY, 0, DAY],
    ],
)
def test_of_few_or_irregular_wakes_nothing_is_told(gaps):
    assert expected(wakes_of(*gaps), at(START + 1)) is None


def test_nothing_is_told_of_a_device_that_has_been_away_for_longer_than_it_was_watched():
    wakes = wakes_of(DAY, DAY, DAY)
    assert expected(wakes, at(START + 3 * DAY))
    assert expected(wakes, at(START + 3 * DAY + 1)) is None


periods = st.integers(2 * HOUR, 4 * DAY)


@given(
    period=periods,
    numbers=st.lists(st.sampled_from([1, 1, 1, 1, 2, 3]), min_size=3, max_size=7),
    luck=st.lists(st.floats(-1, 1), min_size=8, max_size=8),
    later=st.floats(0, 1),
)
def test_the_wake_of_an_exact_clock_lies_in_what_is_told_whatever_was_missed(period, numbers, luck, later):
    assume(numbers.count(1) >= max(3, len(numbers) * 2 / 3))
    jitter = min(period / 100, 8)
    ticks = [START]
    for number in numbers:
        ticks.append(ticks[-1] - number * period)
    wakes = [round(tick + jitter * each) for tick, each in zip(ticks, luck, strict=False)]
    ahead = wakes[0] + later * (wakes[0] - wakes[-1])
    found = expected(wakes, at(ahead))
    assert found
    cycles = round((minutes(found.at) - START) / period)
    # Of the least jitter, what is told of a far wake is off by the error of the period, too: it is told so.
    assert abs(minutes(found.at) - START - cycles * period) <= minutes(EPOCH + found.within) + jitter
    assert found.at - found.within >= at(ahead) - timedelta(milliseconds=1)


@given(gaps=st.lists(st.integers(1, 20 * DAY), max_size=7), later=st.integers(0, 200 * DAY))
def test_what_is_told_lies_ahead_and_is_narrower_than_half_the_longest_gap(gaps, later):
    found = expected(wakes_of(*gaps), at(START + later))
    if found:
        assert found.at - found.within >= at(START + later) - timedelta(milliseconds=1)
        assert found.within < timedelta(minutes=max(gaps) / 2)


@given(period=periods, later=st.integers(0, 10 * DAY), shift=st.integers(-(10**6), 10**6))
def test_the_forecast_moves_with_the_clock(period, later, shift):
    wakes = wakes_of(period, period, period, period)
    found = expected(wakes, at(START + later))
    moved = expected([wake + shift for wake in wakes], at(START + later + shift))
    assert (found is None) == (moved is None)
    if found and moved:
        assert abs(moved.at - found.at - timedelta(minutes=shift)) < timedelta(seconds=1)
