"""The planner's arithmetic against the real draw: `lifetime` itself, many times."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.expiry.jitter.expectation import Rules, Run, expected, factor, largest, shares, together
from inventory.expiry.jitter.restaggering import advise
from inventory.issuing.lifetimes import lifetime
from tests.factories import DAY, NOW

TODAY = NOW.date()
FAR = NOW + 9000 * DAY
RULES = st.builds(
    Rules,
    st.integers(1, 5 * 365 * 24 * 3600).map(lambda seconds: timedelta(seconds=seconds)),
    st.integers(0, 90 * 24 * 3600).map(lambda seconds: timedelta(seconds=seconds)),
)


def draw(rules: Rules, run: Run, random_: random.Random, issuer_not_after: datetime = FAR) -> Counter:
    """Return the histogram of a run that is really drawn, a unit at a time."""
    found: Counter = Counter()
    for index in range(run.days):
        midnight = datetime.combine(run.first_day + index * DAY, datetime.min.time(), UTC)
        for _ in range(int(run.units_a_day)):
            dates = lifetime(
                now=midnight + timedelta(seconds=random_.randrange(86400)),
                validity=rules.validity,
                jitter_max=rules.jitter_max,
                draw=random_.random(),
                backdate=timedelta(hours=1),
                issuer_not_after=issuer_not_after,
            )
            assert dates.not_after <= issuer_not_after
            found[dates.not_after.date()] += 1
    return found


@given(rules=RULES)
def test_the_shares_of_a_day_add_up_to_all_of_it(rules):
    assert sum(shares(rules).values()) == 1
    assert all(share > 0 for share in shares(rules).values())


@given(
    validity=st.integers(0, 3 * 86400),
    jitter=st.integers(0, 2 * 86400),
    seconds=st.lists(st.integers(0, 86399), max_size=3),
)
def test_shares_are_counts_of_pairs(validity, jitter, seconds):
    """The closed form against what it abbreviates, for a day of which only some seconds are looked at."""
    found = shares(Rules(timedelta(seconds=validity), timedelta(seconds=jitter)))
    for second in seconds:
        for delay in (0, jitter):
            assert (second + validity + delay) // 86400 in found


@given(rules=RULES, units=st.integers(1, 5000), days=st.integers(1, 30))
def test_a_histogram_holds_the_whole_run(rules, units, days):
    run = Run(units, days, TODAY)
    assert sum(expected(run, rules).values()) == pytest.approx(run.units)


@pytest.mark.parametrize(
    "rules",
    [
        Rules(730 * DAY, timedelta(0)),
        Rules(730 * DAY, 30 * DAY),
        Rules(730 * DAY + timedelta(hours=7), timedelta(hours=5)),
        Rules(timedelta(hours=6), timedelta(days=3, seconds=17)),
    ],
    ids=["no jitter", "30 days", "hours", "short lives"],
)
def test_the_expectation_is_what_many_draws_come_to(rules):
    run = Run(2000, 10, TODAY)
    drawn = draw(rules, run, random.Random(7))  # noqa: S311
    wanted = expected(run, rules)
    assert set(drawn) <= set(wanted)
    for day, number in wanted.items():
        # Five standard deviations: of a few hundred days none is that far off by chance.
        assert abs(drawn[day] - number) <= 5 * number**0.5 + 1, day


def test_fifty_thousand_in_fourteen_days_fall_by_the_predicted_factor():
    """The mission's row: 2 years + at most 30 days; the largest day, uniform offsets, none beyond the issuer."""
    plain, jittered = Rules(730 * DAY, timedelta(0)), Rules(730 * DAY, 30 * DAY)
    run = Run(50_000 // 14, 14, TODAY)
    predicted = factor(expected(run, plain), expected(run, jittered))
    random_ = random.Random(50_000)  # noqa: S311
    without, with_jitter = draw(plain, run, random_), draw(jittered, run, random_)
    assert predicted == pytest.approx(30 / 14, rel=0.01)
    assert max(without.values()) / max(with_jitter.values()) == pytest.approx(predicted, rel=0.06)


def test_the_offsets_of_fifty_thousand_are_uniform():
    """Chi-squared over 30 bins: 29 degrees of freedom exceed 58.3 once in a thousand times."""
    random_, jitter_max = random.Random(30), 30 * DAY  # noqa: S311
    bins: Counter = Counter()
    for _ in range(50_000):
        dates = lifetime(
            now=NOW,
            validity=730 * DAY,
            jitter_max=jitter_max,
            draw=random_.random(),
            backdate=timedelta(0),
            issuer_not_after=FAR,
        )
        assert timedelta(0) <= dates.jitter <= jitter_max
        assert dates.not_after == NOW + 730 * DAY + dates.jitter
        bins[min(dates.jitter // DAY, 29)] += 1
    each = 50_000 / 30
    assert sum((bins[index] - each) ** 2 / each for index in range(30)) < 58.3


def test_what_would_outlive_its_issuer_ends_with_it():
    rules, run = Rules(730 * DAY, 30 * DAY), Run(500, 4, TODAY)
    issuer_not_after = NOW + 745 * DAY
    drawn = draw(rules, run, random.Random(1), issuer_not_after)  # noqa: S311
    wanted = expected(run, rules, issuer_last_day=issuer_not_after.date())
    last = issuer_not_after.date()
    assert max(wanted) == max(drawn) == last
    assert largest(wanted)[0] == last
    assert drawn[last] == pytest.approx(wanted[last], rel=0.1)


@given(
    count=st.integers(1, 100_000),
    window=st.integers(1, 90),
    jitter=st.integers(0, 30),
    most=st.integers(1, 100_000),
)
def test_advice_uses_as_few_days_as_suffice(count, window, jitter, most):
    rules = Rules(730 * DAY, jitter * DAY)
    last_day = TODAY + timedelta(days=window - 1)
    advice = advise(count, rules=rules, first_day=TODAY, last_day=last_day, most=most, existing={})
    assert advice.units_a_day * advice.days == pytest.approx(count)
    assert TODAY == advice.first_day <= advice.last_day <= last_day
    assert advice.enough == (advice.largest_day[1] <= most)
    if not advice.enough:
        assert advice.last_day == last_day
    elif advice.days > 1:
        fewer = Run(count / (advice.days - 1), advice.days - 1, TODAY)
        assert largest(expected(fewer, rules))[1] > most


def test_advice_counts_what_ends_on_the_same_days_anyway():
    rules = Rules(730 * DAY, timedelta(0))
    busy = {TODAY + 730 * DAY: 900.0}
    advice = advise(1000, rules=rules, first_day=TODAY, last_day=TODAY + 30 * DAY, most=1000, existing=busy)
    assert advice.days == 10
    assert together(advice.histogram, busy)[TODAY + 730 * DAY] == pytest.approx(1000)


def test_without_a_day_left_there_is_no_advice():
    with pytest.raises(ValueError, match="no day is left"):
        advise(1, rules=Rules(DAY, DAY), first_day=TODAY, last_day=TODAY - DAY, most=1, existing={})
