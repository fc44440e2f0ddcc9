"""What is learnt of waits: every day that somebody waited is counted once, and data outweigh expectation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renewal.board.waits import BINS, EDGES, Knowledge, Observed, WaitKind, observed, place
from tests.renewal.board.worlds import chance

ages = st.floats(0, 400)


def waits_of(lengths: list[tuple[float, bool]]) -> list[tuple[int, int, int, float]]:
    return [(place(length)[0], 1, int(came), length) for length, came in lengths]


@given(st.lists(st.tuples(ages, st.booleans())))
def test_every_day_waited_and_all_that_came_is_in_one_bin(lengths):
    seen = observed(waits_of(lengths))
    assert sum(seen.days) == pytest.approx(sum(length for length, _came in lengths))
    assert sum(seen.came) == sum(came for _length, came in lengths)


@given(ages)
def test_an_age_lies_in_its_bin(age):
    number, days = place(age)
    assert EDGES[number] + days == pytest.approx(age)
    assert number == BINS - 1 or age < EDGES[number + 1]


@given(st.sampled_from(WaitKind), st.integers(0, 1000), st.lists(st.tuples(ages, st.booleans())), ages, ages)
def test_ever_fewer_are_silent_the_longer_they_wait(kind, seed, lengths, one, other):
    rates = Knowledge(kind, observed(waits_of(lengths))).draw(chance(seed))
    young, old = sorted([one, other])
    assert 0 < rates.silent(place(old)) <= rates.silent(place(young)) + 1e-12 <= 1 + 1e-9


def mean_silent(seen: Observed, since: float, until: float) -> float:
    """Return what share of those who are silent at the age `since` is expected to be so at the age `until`."""
    random, knowledge = chance(1), Knowledge(WaitKind.ANSWER, seen)
    drawn = [knowledge.draw(random) for _number in range(400)]
    return sum(each.silent(place(until)) / each.silent(place(since)) for each in drawn) / len(drawn)


def test_many_answers_outweigh_what_was_expected():
    # A thousand devices waited for up to a day each, and half of them, or hardly any, answered in it.
    quick = observed([(place(0.999)[0], 1000, 500, 600.0)])
    slow = observed([(place(0.999)[0], 1000, 5, 999.0)])
    assert mean_silent(quick, 0.25, 1) < 0.6 < 0.95 < mean_silent(slow, 0.25, 1)


def test_a_quick_start_leaves_open_whether_those_who_are_still_silent_are_as_quick():
    knowledge = Knowledge(WaitKind.ANSWER, observed([(0, 800, 800, 0.4), (0, 200, 0, 0.6)]))
    random = chance(1)
    drawn = [knowledge.draw(random) for _number in range(400)]
    later = [each.silent(place(2.0)) / each.silent(place(EDGES[1])) for each in drawn]
    assert sum(share > 0.25 for share in later) > 0.25 * len(later)
    assert sum(share < 0.1 for share in later) > 0.25 * len(later)


def test_the_longer_nobody_answers_the_more_never_will():
    def after(days: float) -> float:
        half = [(place(0.5)[0], 500, 500, 200.0), (place(days)[0], 500, 0, 500 * days)]
        return mean_silent(observed(half), days, days + 30)

    assert after(1.0) < after(5.0) < after(20.0)
    assert after(20.0) > 0.9
