"""Spans of days cut into days, weeks or months. Pure."""

from datetime import date, timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _


class Bucket(models.TextChoices):
    DAY = "day", _("day")
    WEEK = "week", _("week")
    MONTH = "month", _("month")


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
