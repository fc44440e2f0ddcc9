"""Charts neither lose nor invent anything: what goes in comes out, once, in its place."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certportal.dashboard.geometry import bars, heatmap, steps, timeline

TODAY = date(2027, 3, 1)
DAYS = st.dates(date(2027, 1, 1), date(2028, 6, 1))
NUMBERS = st.lists(st.integers(0, 10**6), max_size=60)


@given(largest=st.integers(1, 10**8), count=st.integers(1, 10**8))
def test_every_count_stands_in_the_step_whose_legend_names_it(largest, count):
    scale = steps.scale(largest)
    count = min(count, largest)
    step, low, high = scale.legend()[scale.step(count) - 1]
    assert step == scale.step(count)
    assert low <= count <= high


@given(largest=st.integers(1, 10**8))
def test_steps_are_at_most_five_and_leave_no_hole(largest):
    legend = steps.scale(largest).legend()
    assert 1 <= len(legend) <= steps.STEPS
    assert (legend[0][1], legend[-1][2]) == (1, largest)
    assert all(before[2] + 1 == after[1] for before, after in pairwise(legend))


def test_nothing_has_no_step():
    assert (steps.scale(0).step(0), steps.scale(0).legend()) == (0, [])
    assert steps.scale(100).step(0) == 0


def counted(numbers: list[int], columns: list[heatmap.Column]) -> dict[heatmap.Key, int]:
    """Give each number a place: rows one after the other, and columns far apart."""
    rows = [1, 2, 3, None]
    return {(rows[i % 4], columns[i * 7 % len(columns)].start): number for i, number in enumerate(numbers)}


@given(numbers=NUMBERS, span=st.sampled_from([37, 104, 393, 2000]))
def test_each_count_of_a_row_has_a_cell_in_its_column(numbers, span):
    columns = heatmap.columns(TODAY - timedelta(days=14), span, 1200)
    counts = counted(numbers, columns)
    laid = heatmap.layout(counts, [1, 2, 3, None], columns, today=TODAY, cliffs={}, width=1200)
    found = {(cell.row, cell.column.start): cell.count for cell in laid.cells}
    assert found == {key: count for key, count in counts.items() if count}
    assert len(found) == len(laid.cells)


@given(numbers=NUMBERS, span=st.sampled_from([37, 104, 393, 2000]))
def test_cells_do_not_overlap_and_stay_inside(numbers, span):
    columns = heatmap.columns(TODAY, span, 1200)
    counts = counted(numbers, columns)
    laid = heatmap.layout(counts, [1, 2, 3, None], columns, today=TODAY, cliffs={}, width=1200)
    places = {(cell.x, cell.y) for cell in laid.cells}
    assert len(places) == len(laid.cells)
    assert all(0 <= x <= laid.width - laid.cell_width for x, _y in places)
    assert all(heatmap.HEAD <= y < laid.foot for _x, y in places)


@given(span=st.integers(1, 7000), first=DAYS)
def test_columns_cover_every_day_of_the_span_once(span, first):
    columns = heatmap.columns(first, span, 1200)
    covered = [column.start + timedelta(days=i) for column in columns for i in range((column.end - column.start).days)]
    assert covered == sorted(set(covered))
    assert {first + timedelta(days=i) for i in range(span)} <= {*covered}


def test_a_cell_is_a_week_beyond_120_days_and_begins_on_monday():
    assert len(heatmap.columns(TODAY, 120, 1200)) == 120
    assert {column.start.weekday() for column in heatmap.columns(TODAY, 121, 1200)} == {0}
    assert {column.start.weekday() for column in heatmap.columns(TODAY, 3 * 365, 1200)} == {0}


def test_a_cell_is_a_month_beyond_three_years_and_begins_on_its_first():
    columns = heatmap.columns(TODAY, 20 * 365, 1200)
    assert {column.start.day for column in columns} == {1}
    assert len(columns) == 240


def test_the_day_of_a_cliff_is_outlined_and_named_once():
    cliff = date(2027, 4, 1)
    counts = {(1, cliff): 200, (2, cliff): 4, (2, date(2027, 4, 2)): 3}
    columns = heatmap.columns(TODAY, 90, 1200)
    laid = heatmap.layout(
        counts,
        [1, 2],
        columns,
        today=TODAY,
        cliffs={cliff: 204},
        width=1200,
    )
    assert laid.outlined == tuple(column.x for column in columns if column.start == cliff)
    assert len(laid.outlined) == 1
    assert [(label.day, label.count) for label in laid.cliffs] == [(cliff, 204)]


@given(days=st.sets(st.dates(TODAY, TODAY + timedelta(days=89)), max_size=20))
def test_names_of_cliffs_never_run_into_each_other(days):
    cliffs = {day: 100 + index for index, day in enumerate(sorted(days))}
    laid = heatmap.layout({}, [1], heatmap.columns(TODAY, 90, 1200), today=TODAY, cliffs=cliffs, width=1200)
    spans = sorted(
        (label.x, label.x + 148) if label.anchor == "start" else (label.x - 148, label.x) for label in laid.cliffs
    )
    assert all(before[1] <= after[0] + heatmap.GAP for before, after in pairwise(spans))


def test_today_is_a_line_in_its_own_day():
    laid = heatmap.layout(
        {},
        [1],
        heatmap.columns(TODAY - timedelta(days=14), 104, 1248),
        today=TODAY,
        cliffs={},
        width=1248,
    )
    assert laid.today_x == 14 * (laid.cell_width + heatmap.GAP)


WEEKS = st.lists(st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 10**6)), min_size=1, max_size=40)


@given(values=WEEKS)
def test_bars_add_up_to_each_week_and_fit_their_height(values):
    weeks = [(TODAY + timedelta(days=7 * index), counts) for index, counts in enumerate(values)]
    laid = bars.layout(weeks, ["a", "b"], today=TODAY, width=400, height=150)
    for week, counts in weeks:
        mine = [bar for bar in laid.bars if bar.week == week]
        assert {bar.part: bar.count for bar in mine} == {part: n for part, n in counts.items() if n}
        assert all(0 <= bar.y <= laid.foot for bar in mine)
        assert sum(bar.height for bar in mine) <= laid.foot + bars.LEAST * 2 + 0.2


MOMENTS = st.lists(
    st.tuples(
        st.integers(-30_000, 30_000).map(lambda hours: datetime(2027, 3, 1, tzinfo=UTC) + timedelta(hours=hours)),
        st.sampled_from(["good", "late", "stopped", "attention", "neutral"]),
    ),
    max_size=40,
)


@given(moments=MOMENTS)
def test_every_moment_stands_on_the_line_of_time_exactly_once(moments):
    now = datetime(2027, 3, 1, tzinfo=UTC)
    laid = timeline.layout(moments, now, 1200)
    assert sorted(index for mark in laid.marks for index in mark.moments) == list(range(len(moments)))
    assert all(timeline.MARGIN <= mark.x <= 1200 - timeline.MARGIN for mark in laid.marks)
    assert all((moments[index][0] > now) == mark.ahead for mark in laid.marks for index in mark.moments)


def test_a_cluster_on_the_line_of_time_shows_its_worst():
    now = datetime(2027, 3, 1, tzinfo=UTC)
    moments = [(now - timedelta(days=300), "good"), (now, "good"), (now - timedelta(minutes=1), "stopped")]
    assert [mark.tone for mark in timeline.layout(moments, now, 1200).marks] == ["good", "stopped"]


@pytest.mark.parametrize("number", [60, 90, 104, 120])
def test_each_month_is_labelled_where_a_cell_is_a_day(number):
    columns = heatmap.columns(TODAY - timedelta(days=14), number, 1250)
    laid = heatmap.layout({}, [1], columns, today=TODAY, cliffs={}, width=1250)
    firsts = [
        column
        for column in columns
        if column.start.day == 1 and abs(column.x - laid.today_x) >= 48 and column.x <= laid.width - 48
    ]
    assert [tick.text for tick in laid.ticks] == [f"{column.start:%Y-%m}" for column in firsts]
    assert firsts


@pytest.mark.parametrize("span", [37, 104, 393, 1123, 3710, 7360])
def test_no_label_of_the_axis_is_cut_by_the_right_edge(span):
    for first in (TODAY - timedelta(days=number) for number in range(60)):
        laid = heatmap.layout({}, [1], heatmap.columns(first, span, 1250), today=TODAY, cliffs={}, width=1250)
        assert all(tick.x + 48 <= laid.width for tick in laid.ticks)
