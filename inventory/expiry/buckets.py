"""Spans of days cut into days, weeks or months, each with its name of ISO 8601. Pure."""

import re
from datetime import date, timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _


class Bucket(models.TextChoices):
    DAY = "day", _("day")
    WEEK = "week", _("week")
    MONTH = "month", _("month")


_NAMES = {Bucket.DAY: "%Y-%m-%d", Bucket.WEEK: "%G-W%V", Bucket.MONTH: "%Y-%m"}
_FORMS = {
    Bucket.DAY: re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    Bucket.WEEK: re.compile("[0-9]{4}-W[0-9]{2}"),
    Bucket.MONTH: re.compile("[0-9]{4}-[0-9]{2}"),
}


def bounds(start: date, end: date, bucket: Bucket) -> list[date]:
    """Return where each bucket of `start <= day < end` begins, and `end`: the first and last may be cut short."""
    return [start, *whole(start, end - timedelta(days=1), bucket)[1:-1], end]


def whole(first: date, last: date, bucket: Bucket) -> list[date]:
    """Return where each whole bucket begins that holds a day from `first` to `last`, and where the last one ends.

    Weeks begin on Monday (ISO 8601).
    """
    found = [_begin(first, bucket)]
    while found[-1] <= last:
        found.append(_next(found[-1], bucket))
    return found


def name(begin: date, bucket: Bucket) -> str:
    """Return what ISO 8601 calls a whole bucket, as 2026-11-28, 2026-W48 or 2026-11."""
    return f"{begin:{_NAMES[bucket]}}"


def read(name: str) -> tuple[date, date]:
    """Return where the bucket of this name begins and where the next one does. Raises ValueError for any other text."""
    for bucket, form in _FORMS.items():
        if form.fullmatch(name):
            begin = date.fromisoformat(f"{name}-01" if bucket is Bucket.MONTH else name)
            try:
                return begin, _next(begin, bucket)
            except OverflowError as error:
                raise ValueError(f"{name} ends after the last day that there is") from error
    raise ValueError(f"{name} is no day, week or month of ISO 8601")


def _begin(day: date, bucket: Bucket) -> date:
    match bucket:
        case Bucket.DAY:
            return day
        case Bucket.WEEK:
            return day - timedelta(days=day.weekday())
        case Bucket.MONTH:
            return day.replace(day=1)


def _next(begin: date, bucket: Bucket) -> date:
    match bucket:
        case Bucket.DAY:
            return begin + timedelta(days=1)
        case Bucket.WEEK:
            return begin + timedelta(days=7)
        case Bucket.MONTH:
            return (begin + timedelta(days=31)).replace(day=1)
