"""What a list of the admin offers to be narrowed by, read off its own page."""

import re
from collections.abc import Callable
from html import unescape

DEVICES, CERTIFICATES = "/admin/inventory/device/", "/admin/inventory/certificate/"

Ask = Callable[[str], bytes]
"""Returns the page at an address."""

_FILTER = re.compile(r'<details data-filter-title="([^"]*)"(.*?)</details>', re.DOTALL)
_CHOICE = re.compile(r'<a href="(\?[^"]+)"')


def choices(ask: Ask, address: str) -> dict[str, list[str]]:
    """Return the choices of each filter, by its title, as query strings with their question mark."""
    panels = _FILTER.findall(ask(address).decode())
    return {title: [unescape(query) for query in _CHOICE.findall(panel)] for title, panel in panels}
