"""Spans of days cut into days, weeks or months. Pure."""

from datetime import date, timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _


class Bucket(models.TextChoices):
    DAY = "day", _("day")
    WEEK = "week", _("week")
    MONTH = "month", _("month")


def bounds(start: date, end: date, bucket: Bucket) -> list[date]:
    """Return where each bucket of `start <= day < end` begins, and `end`. Weeks begin on Monday (ISO 8601)."""
    found = [start]
    while (begin := _next(found[-1], bucket)) < end:
        found.append(begin)
    return [*found, end]


def _next(day: date, bucket: Bucket) -> date:
    match bucket:
        case Bucket.DAY:
            return day + timedelta(days=1)
        case Bucket.WEEK:
            return day + timedelta(days=7 - day.weekday())
        case Bucket.MONTH:
            return (day.replace(day=28) + timedelta(days=4)).replace(day=1)
