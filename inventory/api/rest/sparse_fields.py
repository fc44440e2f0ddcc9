"""`fields=a,b`: a row shows only the fields asked for."""

from collections.abc import Iterable
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

PARAMETER = "fields"


def asked(request: Request, known: Iterable[str]) -> frozenset[str] | None:
    """Return the names that a request asks for, None for all. Raises ValidationError for one that is not `known`."""
    text = request.query_params.get(PARAMETER)
    if text is None:
        return None
    names = frozenset(name.strip() for name in text.split(","))
    known = list(known)
    if unknown := sorted(names.difference(known)):
        raise ValidationError(
            {PARAMETER: [f"No field here: {', '.join(unknown)[:200] or 'empty'}. Fields are {', '.join(known)}."]}
        )
    return names


def trim(serializer: Any, names: frozenset[str]) -> None:
    """Leave only `names` in what a serializer shows, of one row or of many."""
    fields = getattr(serializer, "child", serializer).fields
    for name in set(fields) - names:
        del fields[name]
