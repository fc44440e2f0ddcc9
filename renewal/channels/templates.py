"""Texts with placeholders such as {number}. Braces around anything else stay: a body may be JSON. Pure."""

import re
from collections.abc import Callable, Collection, Mapping

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def fill(template: str, values: Mapping[str, str], escape: Callable[[str], str] = str) -> str:
    """Return `template` with each placeholder of `values` filled in, escaped."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        return escape(values[name]) if name in values else found.group()

    return _PLACEHOLDER.sub(value, template)


def unknown(template: str, known: Collection[str]) -> list[str]:
    """Return the placeholders of `template` that are not among `known`, in their order."""
    return [name for name in _PLACEHOLDER.findall(template) if name not in known]
