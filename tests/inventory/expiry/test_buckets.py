"""Spans cut into days, weeks and months: without a gap, and the first and last as short as the span makes them."""

from datetime import date

import pytest

from inventory.expiry.buckets import Bucket, bounds


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
