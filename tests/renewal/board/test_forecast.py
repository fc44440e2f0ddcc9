"""The forecast: honest about little data, sharp with much, and its P90 holds as often as it says."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from renewal.board.forecast import asking_rate, forecast
from renewal.board.waits import Phase
from tests.renewal.board.worlds import Meter, chance, seen, world


def expected(meters, day, *, asks_a_day=0.0, horizons=(), seed=0, courses=200):
    return forecast(seen(meters, day), asks_a_day=asks_a_day, horizons=horizons, seed=seed, courses=courses)


WORLDS = [(60, 0.07, 2.0), (400, 0.07, 2.0), (400, 0.3, 0.4), (60, 0.0, 9.0), (60, 0.0, 2.0)]


def test_the_p90_holds_on_nine_days_of_ten():
    held: Counter[tuple[int, float, float]] = Counter()
    dates_held = days = 0
    for of_world in WORLDS:
        meters, dead, mean = of_world
        for number in range(8):
            found = world(chance(number), meters=meters, dead=dead, mean=mean, ends=(20, 40))
            for day in (3.0, 9.0):
                course = expected(found, day, horizons=(7,), seed=number, courses=60)
                open_then = sum(not meter.renewed_by(day + 7) for meter in found)
                held[of_world] += open_then <= course.at(7).open.p90
                dates_held += sum(meter.missed_by(1e9) for meter in found) <= course.missed.p90
                days += 1
    assert min(held.values()) >= 0.85 * days / len(WORLDS)
    assert dates_held >= 0.85 * days


def test_with_much_data_the_cone_is_narrow():
    found = world(chance(1), meters=20_000, dead=0.07, mean=2.0, ends=(60, 60))
    week = expected(found, 10.0, horizons=(7,)).at(7)
    assert week.open.p90 <= 1.1 * week.open.p50


def test_a_good_first_minute_promises_no_end_within_minutes():
    minute = 1 / 1440
    found = [Meter(0, 0.5 * minute, 60.0)] * 200 + [Meter(0, None, 60.0)] * 36
    course = expected(found, minute)
    through, surely = course.through_in()
    assert through is None or through > 1
    assert surely is None or surely > 7


def test_those_who_stay_silent_are_expected_to_stay_so():
    found = [Meter(0, 0.5, 60.0)] * 200 + [Meter(0, None, 60.0)] * 36
    early, late = expected(found, 1.0).missed, expected(found, 30.0).missed
    assert early.p50 < late.p50 <= 36
    assert late.p50 >= 25
    assert expected(found, 30.0).through_in() == (None, None)


def test_what_has_ended_stays_missed_and_open():
    found = [Meter(0, None, 5.0)] * 10 + [Meter(0, 1.0, 60.0)] * 10
    point = expected(found, 6.0, horizons=(1,)).at(1)
    assert point.missed.p50 == point.missed.p90 == point.open.p50 == 10


def test_who_is_asked_later_answers_later():
    found = [Meter(9.0, None, 60.0)] * 100
    at_once = expected(found, 0.0, asks_a_day=1e6, horizons=(7,)).at(7).open.p50
    slowly = expected(found, 0.0, asks_a_day=10.0, horizons=(7,)).at(7).open.p50
    never = expected(found, 0.0, asks_a_day=0.0, horizons=(7,)).at(7).open.p50
    assert at_once < slowly < never == 100


meters = st.builds(
    Meter,
    asked=st.floats(0, 10),
    renews=st.none() | st.floats(10, 80),
    ends=st.floats(1, 60),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(meters, min_size=1, max_size=40), st.floats(0, 70), st.floats(0, 30))
def test_whatever_happened_the_numbers_are_possible(found, day, asks_a_day):
    now = seen(found, day)
    course = forecast(now, asks_a_day=asks_a_day, horizons=(1, 7, 30), courses=40)
    still_open = sum(each.count for each in now.standings if each.phase is not Phase.THROUGH)
    for point in course.points:
        assert 0 <= point.open.p50 <= point.open.p90
        assert now.missed <= point.missed.p50 <= point.missed.p90
        assert point.open.p50 <= still_open
        assert point.missed.p50 <= now.total
    assert [point.days for point in course.points] == sorted({point.days for point in course.points})
    assert {1, 7, 30} <= {point.days for point in course.points}


def test_the_same_facts_give_the_same_forecast():
    found = world(chance(2), meters=100, dead=0.1, mean=2.0, ends=(30, 40))
    assert expected(found, 5.0, seed=3) == expected(found, 5.0, seed=3)


class TestAskingRate:
    def rate(self, found, day, **changes):
        given = {"a_minute": 10, "running": True, "started_days_ago": day, **changes}
        return asking_rate(seen(found, day), **given)

    def test_a_campaign_that_asked_nobody_yet_goes_at_its_pace(self):
        assert self.rate([Meter(1.0, None, 60.0)] * 5, 0.0) == 14_400

    def test_one_that_asked_before_and_not_on_the_last_day_asks_nobody(self):
        assert self.rate([Meter(0.0, None, 60.0), Meter(9.0, None, 60.0)], 5.0) == 0

    def test_one_that_is_paused_asks_nobody(self):
        assert self.rate([Meter(1.0, None, 60.0)], 0.0, running=False) == 0
