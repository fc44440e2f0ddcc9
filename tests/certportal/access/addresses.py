"""Every address of the planes, found by walking the resolvers, with values for what stands in it."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.urls import NoReverseMatch, URLPattern, URLResolver, reverse


@dataclass(frozen=True)
class Address:
    """A pattern of a plane: `name` with its namespaces, or the pattern where it has none; its `parameters`."""

    plane: str
    name: str
    parameters: tuple[str, ...]

    def path(self, values: Mapping[str, Any]) -> str:
        """Return the path with these values. Raises KeyError for a parameter that has none."""
        urlconf = f"certportal.urls.{self.plane}"
        given = {name: values[name] for name in self.parameters}
        try:
            return reverse(self.name, urlconf=urlconf, kwargs=given)
        except NoReverseMatch:
            # The few addresses without a name.
            return "/" + self.name.format(**given)


def addresses(plane: str) -> list[Address]:
    """Return the addresses of a plane; one that has several patterns, for forms of its path, once."""
    found = _walk(plane, import_module(f"certportal.urls.{plane}").urlpatterns, "", "")
    return list(dict.fromkeys(found))


def _walk(plane: str, patterns: list[Any], namespace: str, prefix: str) -> Iterator[Address]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inside = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from _walk(plane, pattern.url_patterns, inside, prefix + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            name = f"{namespace}{pattern.name}" if pattern.name else prefix + _template(pattern)
            yield Address(plane, name, tuple(_parameters(pattern, prefix)))


def _parameters(pattern: URLPattern, prefix: str) -> Iterator[str]:
    # A parameter of the prefix stands in the pattern of the router already.
    yield from dict.fromkeys(itertools.chain(pattern.pattern.regex.groupindex))


def _template(pattern: URLPattern) -> str:
    text = str(pattern.pattern)
    for name in pattern.pattern.regex.groupindex:
        for kind in ("str", "slug", "path", "int"):
            text = text.replace(f"<{kind}:{name}>", f"{{{name}}}").replace(f"<{name}>", f"{{{name}}}")
    return text
