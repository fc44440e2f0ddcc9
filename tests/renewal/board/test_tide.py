"""The tide chart shows every open target once as it stands now, and once where its certificate ends."""

from hypothesis import given, settings
from hypothesis import strategies as st

from renewal.board import tide
from renewal.board.forecast import forecast
from renewal.board.waits import Phase
from renewal.models import TargetState
from tests.factories import DAY, NOW
from tests.renewal.board.worlds import chance, seen, world


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 99), st.integers(1, 200), st.floats(0, 70))
def test_parts_and_ends_add_up_to_the_open_targets_and_all_is_on_the_sheet(seed, meters, day):
    findings = seen(world(chance(seed), meters=meters, dead=0.2, mean=4.0, ends=(5, 60)), day)
    course = forecast(findings, asks_a_day=0.0, courses=20)
    chart = tide.layout(findings, [], course, started_at=NOW)
    counts = findings.by_state()
    assert {part.state: part.count for part in chart.parts} == {
        state: counts[state] for state in tide.STACK if counts[state]
    }
    running = sum(each.count for each in findings.standings if each.stretch is not None)
    assert sum(end.count for end in chart.ends) == running
    for end in chart.ends:
        assert chart.left <= end.x <= chart.width
        assert chart.top <= end.y <= chart.foot
    assert chart.cliff is None or chart.cliff.end > findings.at


def test_before_the_start_there_is_no_past_and_no_cone():
    findings = seen(world(chance(1), meters=10, dead=0.2, mean=4.0, ends=(5, 60)), 0.0)
    chart = tide.layout(findings, [], None, started_at=None)
    assert (chart.bands, chart.cone, chart.line) == ([], "", "")
    assert chart.ends


def test_the_past_is_drawn_from_the_days_that_were_written_down():
    findings = seen(world(chance(1), meters=10, dead=0.5, mean=4.0, ends=(30, 60)), 10.0)
    days = [(NOW + number * DAY, dict.fromkeys(TargetState, 0) | {TargetState.TRIGGERED: 8}) for number in range(1, 10)]
    chart = tide.layout(findings, days, None, started_at=NOW)
    [asked] = [band for band in chart.bands if band.state == TargetState.TRIGGERED]
    assert len(asked.points.split()) == 2 * (len(days) + 2)
    assert {each.phase for each in findings.standings} >= {Phase.ASKED}
