"""Spans of time in forms: what is written is read as the same."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from inventory.admin.durations import DurationField
from inventory.formats.spans import written

_SECONDS = st.integers(min_value=0, max_value=100 * 365 * 86_400).map(lambda seconds: timedelta(seconds=seconds))


@given(_SECONDS)
def test_what_is_written_is_read_as_the_same(span):
    field = DurationField()
    assert field.clean(written(span)) == span
    assert not field.has_changed(span, written(span))


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("7 d", timedelta(days=7)), ("7d", timedelta(days=7)), ("36 h", timedelta(hours=36)), ("7 days", timedelta(7)),
        ("1 d 12 h", timedelta(days=1.5)), ("90 min", timedelta(minutes=90)), ("7 00:00:00", timedelta(days=7)),
        ("P7D", timedelta(days=7)),
    ],
)  # fmt: skip
def test_spans_are_read_as_people_write_them(text, span):
    assert DurationField().clean(text) == span


@pytest.mark.parametrize("text", ["soon", "7 x", "d", "h 7", "1 h 1 d", "9" * 30 + " d", " "])
def test_what_is_no_span_is_refused(text):
    with pytest.raises(ValidationError):
        DurationField().clean(text)
