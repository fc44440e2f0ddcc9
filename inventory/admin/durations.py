"""Spans of time in forms, written and read as people do: 7 d, 36 h, 1 d 12 h."""

import re
from datetime import timedelta
from typing import Any

from django import forms
from django.db import models
from django.utils.translation import gettext_lazy as _

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "min": timedelta(minutes=1), "s": timedelta(seconds=1)}
_WRITTEN = re.compile(r"\s*" + "".join(rf"(?:(\d{{1,6}})\s*{unit})?\s*" for unit in ("d(?:ays?)?", "h", "min", "s")))


def written(span: timedelta) -> str:
    """Return a span of whole seconds in the largest units, such as "1 d 12 h"."""
    parts = []
    for name, unit in _UNITS.items():
        number, span = divmod(span, unit)
        if number:
            parts.append(f"{number} {name}")
    return " ".join(parts) or "0 d"


class DurationField(forms.DurationField):
    """Takes what `written` writes, and what Django takes."""

    default_error_messages = {"invalid": _("Write a span of time such as 7 d, 36 h or 1 d 12 h.")}

    def prepare_value(self, value: Any) -> Any:
        return written(value) if isinstance(value, timedelta) else value

    def to_python(self, value: Any) -> timedelta | None:
        if isinstance(value, str) and value.strip() and (found := _WRITTEN.fullmatch(value)):
            numbers = zip(found.groups(), _UNITS.values(), strict=True)
            return sum((int(number) * unit for number, unit in numbers if number), timedelta(0))
        return super().to_python(value)


DURATIONS: dict[Any, dict[str, Any]] = {models.DurationField: {"form_class": DurationField}}
"""The `formfield_overrides` of a form that has any."""
