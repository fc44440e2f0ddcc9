"""What the answers of a wave show, as numbers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renewal.campaigns.evidence import (
    Evidence,
    answers_for,
    answers_missing,
    answers_that_outweigh,
    exceeds,
    may_open_next,
    upper_bound,
)

LIMITS = st.floats(0.001, 0.9)


# From the tables of Wilson's score interval (95 %).
@pytest.mark.parametrize(
    ("failed", "answered", "bound"),
    [(0, 10, 0.2775), (1, 10, 0.4042), (5, 10, 0.7634), (0, 100, 0.0370), (5, 100, 0.1118), (10, 1000, 0.0183)],
)
def test_the_upper_bound_is_that_of_wilson(failed, answered, bound):
    assert upper_bound(failed, answered) == pytest.approx(bound, abs=1e-4)


def test_nothing_is_shown_by_no_answer():
    assert upper_bound(0, 0) == 1.0


@given(failed=st.integers(0, 200), limit=LIMITS)
def test_so_many_answers_show_it_and_one_less_does_not(failed, limit):
    needed = answers_for(failed, limit)
    assert needed >= max(failed, 1)
    assert upper_bound(failed, needed) < limit
    assert needed <= max(failed, 1) or upper_bound(failed, needed - 1) >= limit


def test_188_answers_without_a_failure_show_that_fewer_than_2_percent_fail():
    assert answers_for(0, 0.02) == 189
    assert upper_bound(0, 188) > 0.02


def evidence(**known) -> Evidence:
    return Evidence(**{"to_ask": 0, "answered": 0, "failed": 0, "expected": 0.0, "able": 0} | known)


def test_the_silent_are_neither_success_nor_failure():
    # 189 of 1,000 answered well, and the others sleep: enough is shown, but only once the answers due are in.
    assert may_open_next(evidence(answered=189, expected=100.0), 0.02)
    assert not may_open_next(evidence(answered=189, expected=400.0), 0.02)
    assert answers_missing(evidence(answered=189, expected=400.0), 0.02) == 211


def test_a_wave_that_is_not_asked_to_its_end_shows_nothing_yet():
    assert not may_open_next(evidence(answered=500, to_ask=1), 0.02)


def binomial_tail(failed: int, answered: int, limit: float) -> float:
    return sum(
        math.comb(answered, number) * limit**number * (1 - limit) ** (answered - number)
        for number in range(failed, answered + 1)
    )


@given(answered=st.integers(1, 60), share=st.floats(0, 1), limit=LIMITS)
def test_a_breach_is_what_chance_would_bring_once_in_forty(answered, share, limit):
    failed = round(share * answered)
    tail = binomial_tail(failed, answered, limit)
    if abs(tail - 0.025) > 1e-9 and failed > answered * limit:
        assert exceeds(failed, answered, limit) == (tail < 0.025)


@given(st.integers(0, 10_000), st.floats(0.001, 0.9), st.integers(0, 1_000_000))
def test_of_so_many_answers_or_more_the_failures_stop_nobody(failed, limit, more):
    assert not exceeds(failed, answers_that_outweigh(failed, limit) + more, limit)


def test_one_failure_of_one_answer_stops_nobody_and_three_of_three_do():
    assert not exceeds(1, 1, 0.1)
    assert exceeds(3, 3, 0.1)
    assert not exceeds(0, 0, 0.1)


def test_a_fleet_is_judged_as_fast_as_a_wave():
    assert exceeds(230_000, 2_200_000, 0.1)
    assert not exceeds(220_100, 2_200_000, 0.1)
