"""Spans of time, written and read as people do: 7 d, 36 h, 1 d 12 h. Pure."""

import re
from datetime import timedelta

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


def read(text: str) -> timedelta | None:
    """Return the span that `written` writes so, None for any other text."""
    found = _WRITTEN.fullmatch(text) if text.strip() else None
    if found is None:
        return None
    numbers = zip(found.groups(), _UNITS.values(), strict=True)
    return sum((int(number) * unit for number, unit in numbers if number), timedelta(0))
