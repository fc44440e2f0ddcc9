"""Spans of time in forms, written and read as people do: 7 d, 36 h, 1 d 12 h."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from inventory.formats import spans


class DurationField(forms.DurationField):
    """Takes what `spans.written` writes, and what Django takes."""

    default_error_messages = {"invalid": _("Write a span of time such as 7 d, 36 h or 1 d 12 h.")}

    def prepare_value(self, value: Any) -> Any:
        return spans.written(value) if isinstance(value, timedelta) else value

    def to_python(self, value: Any) -> timedelta | None:
        span = spans.read(value) if isinstance(value, str) else None
        return super().to_python(value) if span is None else span
