"""The details of an audit event as people read them: our words for its keys, our form of its dates."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.models import RevocationReason

_LONG_HEX = re.compile(r"\b[0-9a-f]{20,}\b")
# What the entry says elsewhere, or what only programs need.
_UNTOLD = {"campaign", "id", "model", "order"}
# In the order in which they are told: PostgreSQL keeps the keys of JSON by their length.
_WORDS = {
    "reason": "%s",
    "reason_before": gettext_lazy("before: %s"),
    "serial": gettext_lazy("serial %s"),
    "issuer": gettext_lazy("issuer %s"),
    "profile": gettext_lazy("profile %s"),
    "not_after": gettext_lazy("ends %s"),
    "renewal_of": gettext_lazy("renews %s"),
    "superseded": gettext_lazy("certificates superseded: %s"),
    "opens": gettext_lazy("renewal opens on %s"),
    "targets": gettext_lazy("devices: %s"),
    "finding": gettext_lazy("found “%s”"),
    "proposal": gettext_lazy("proposed: %s"),
    "outcome": "%s",
    "note": gettext_lazy("“%s”"),
    "number": gettext_lazy("number %s"),
    "size": gettext_lazy("%s bytes"),
    "entries": gettext_lazy("entries: %s"),
    "sha256": gettext_lazy("SHA-256 %s"),
    "next_update": gettext_lazy("next update %s"),
}
_ORDER = {key: place for place, key in enumerate(_WORDS)}


def told(details: Any, *, without: frozenset[str] = frozenset()) -> str:
    """Return the details of an event as one line; those in `without` are told beside it."""
    if not isinstance(details, Mapping):
        return str(details)
    keys = sorted(details.keys() - without - _UNTOLD, key=lambda key: (_ORDER.get(key, len(_ORDER)), key))
    return ", ".join(filter(None, (_part(key, details[key]) for key in keys)))


def _part(key: str, value: Any) -> str:
    if value in (None, "", 0, [], {}):  # False is among them
        return ""
    if key == "changes" and isinstance(value, Mapping):
        return _changes(value)
    if value is True:
        return _plain(key)
    shown = _READ[key](value) if key in _READ else _value(value)
    return str(_WORDS[key]) % shown if key in _WORDS else f"{_plain(key)} {shown}"


def _changes(changes: Mapping[str, Any]) -> str:
    """Return which fields were changed, from what to what; a secret one has no values here."""
    lines = []
    for field, pair in changes.items():
        old, new = pair if isinstance(pair, list) and len(pair) == 2 else (None, pair)
        if old in (None, "") and new in (None, ""):
            lines.append(_plain(field))
        else:
            lines.append(f"{_plain(field)}: {_value(old) or _('none')} → {_value(new) or _('none')}")
    return "; ".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(_value, value))
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return number_format(value, force_grouping=True)
    text = str(value)
    return _date(text) or _LONG_HEX.sub(lambda match: f"{match[0][:8]}…", text)


def _date(text: str) -> str:
    """Return a moment as pages show it, or nothing for a text that is none."""
    if "T" not in text:
        return ""
    try:
        moment = parse_datetime(text)
    except ValueError:
        return ""
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        return ""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _reason(value: Any) -> str:
    """Return the words of a revocation reason, or of the code of a refusal."""
    text = str(value)
    return str(RevocationReason(text).label) if text in RevocationReason.values else _plain(text)


def _plain(key: str) -> str:
    return key.replace("_", " ")


_READ: dict[str, Callable[[Any], str]] = {"reason": _reason, "number": str}
