"""How long a certificate lives: whole seconds, a fair draw of jitter, never beyond the issuer."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inventory.issuing.lifetimes import IssuerTooOld, lifetime, renewal_opens
from tests.factories import DAY, NOW

SECOND = timedelta(seconds=1)
RULES = {
    "now": NOW,
    "validity": 365 * DAY,
    "jitter_max": 30 * DAY,
    "draw": 0.5,
    "backdate": timedelta(hours=1),
    "issuer_not_after": NOW + 4000 * DAY,
}


def spans(at_most: timedelta = timedelta(days=5000)) -> st.SearchStrategy[timedelta]:
    return st.timedeltas(timedelta(0), at_most)


def test_validity_counts_from_now_and_not_from_the_back_dated_beginning():
    dates = lifetime(**{**RULES, "jitter_max": timedelta(0)})
    assert (dates.not_before, dates.not_after) == (NOW - timedelta(hours=1), NOW + 365 * DAY)
    assert dates.jitter == timedelta(0)


def test_jitter_is_what_was_added_to_the_validity():
    dates = lifetime(**RULES)
    assert dates.not_after == NOW + 365 * DAY + dates.jitter
    assert dates.jitter == 15 * DAY


@given(
    validity=spans(),
    jitter_max=spans(timedelta(days=60)),
    draw=st.floats(0, 1, exclude_max=True),
    backdate=st.integers(0, 86400).map(lambda seconds: timedelta(seconds=seconds)),
    left=st.integers(1, 10**9).map(lambda seconds: timedelta(seconds=seconds)),
    microseconds=st.integers(0, 999_999),
)
@example(timedelta(seconds=1.5), timedelta(0), 0.0, timedelta(0), 9 * DAY, 999_999)
def test_dates_are_in_order_in_whole_seconds_and_within_the_issuer(
    validity, jitter_max, draw, backdate, left, microseconds
):
    now = NOW.replace(microsecond=microseconds)
    issuer_ends = NOW + left
    dates = lifetime(
        now=now,
        validity=validity,
        jitter_max=jitter_max,
        draw=draw,
        backdate=backdate,
        issuer_not_after=issuer_ends,
    )
    assert dates.not_before.microsecond == dates.not_after.microsecond == 0
    assert dates.not_before <= now
    assert NOW <= dates.not_after <= issuer_ends
    assert timedelta(0) <= dates.jitter <= jitter_max
    assert dates.not_after <= NOW + validity + jitter_max


def test_every_second_of_the_jitter_is_drawn_equally_often():
    steps = 1000
    drawn = Counter(
        lifetime(**{**RULES, "jitter_max": 9 * SECOND, "draw": step / steps}).jitter for step in range(steps)
    )
    assert drawn == {number * SECOND: steps // 10 for number in range(10)}


def test_the_largest_draw_gives_the_largest_jitter_and_not_more():
    largest = ((1 << 53) - 1) / (1 << 53)
    assert lifetime(**{**RULES, "draw": largest}).jitter == 30 * DAY


def test_a_certificate_ends_with_its_issuer_and_reports_what_that_left_of_the_jitter():
    assert lifetime(**{**RULES, "issuer_not_after": NOW + 370 * DAY}).jitter == 5 * DAY
    short = lifetime(**{**RULES, "issuer_not_after": NOW + 10 * DAY})
    assert (short.not_after, short.jitter) == (NOW + 10 * DAY, timedelta(0))


def test_an_issuer_that_ends_now_signs_nothing_and_one_second_longer_signs_for_a_second():
    assert lifetime(**{**RULES, "issuer_not_after": NOW + SECOND}).not_after == NOW + SECOND
    for ended in (NOW, NOW - SECOND):
        with pytest.raises(IssuerTooOld, match="ended on 2027-0"):
            lifetime(**{**RULES, "issuer_not_after": ended})


def test_a_validity_beyond_the_end_of_the_calendar_ends_with_the_issuer():
    assert lifetime(**{**RULES, "validity": 999_999 * 365 * DAY}).not_after == RULES["issuer_not_after"]


def test_renewal_opens_a_window_before_the_end():
    assert renewal_opens(NOW, 90 * DAY) == NOW - 90 * DAY
