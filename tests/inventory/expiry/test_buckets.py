"""Spans cut into days, weeks and months: without a gap, and the first and last as short as the span makes them."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.expiry.buckets import Bucket, bounds, name, read, whole


@pytest.mark.parametrize(
    ("start", "end", "bucket", "expected"),
    [
        ("2027-03-01", "2027-03-03", Bucket.DAY, ["2027-03-01", "2027-03-02", "2027-03-03"]),
        ("2027-03-01", "2027-03-02", Bucket.MONTH, ["2027-03-01", "2027-03-02"]),
        ("2027-03-03", "2027-03-16", Bucket.WEEK, ["2027-03-03", "2027-03-08", "2027-03-15", "2027-03-16"]),
        ("2027-01-31", "2027-03-01", Bucket.MONTH, ["2027-01-31", "2027-02-01", "2027-03-01"]),
        (
            "2027-12-15",
            "2028-03-02",
            Bucket.MONTH,
            ["2027-12-15", "2028-01-01", "2028-02-01", "2028-03-01", "2028-03-02"],
        ),
    ],
)
def test_bounds(start, end, bucket, expected):
    assert bounds(date.fromisoformat(start), date.fromisoformat(end), bucket) == [*map(date.fromisoformat, expected)]


@given(st.dates(date(1000, 1, 1), date(9999, 11, 1)), st.sampled_from(Bucket))
def test_what_a_bucket_is_called_names_just_that_bucket(day, bucket):
    begin, end = whole(day, day, bucket)
    assert read(name(begin, bucket)) == (begin, end)


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2026-11-28", "2026-11-28", "2026-11-29"),
        ("2026-W48", "2026-11-23", "2026-11-30"),
        # The week of a year's first days may be of the year before.
        ("2026-W53", "2026-12-28", "2027-01-04"),
        ("2026-12", "2026-12-01", "2027-01-01"),
    ],
)
def test_names_of_iso_8601(text, begin, end):
    assert read(text) == (date.fromisoformat(begin), date.fromisoformat(end))


@pytest.mark.parametrize(
    "text",
    ["", "2026", "20261128", "2026-11-31", "2026-W54", "2027-W53", "2026-13", "2026-W4", "9999-12-31", "9999-12",
     "\uff12026-11", "2026-W48-1", "2026-11-28\n"],
)  # fmt: skip
def test_what_names_no_bucket_is_refused(text):
    with pytest.raises(ValueError, match=r"bucket|ISO|day|month|week|Invalid"):
        read(text)
