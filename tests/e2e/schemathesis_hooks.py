"""Loaded by schemathesis: what it makes up names things that the demo has, so that more than refusals is looked at."""

from typing import Any
from urllib.parse import urlencode

import schemathesis

_FLEET = "demo"
_ROWS = 5
_LONGEST_SLUG = 50
# Of 4094 octets that a request line may have.
_LONGEST_QUERY = 3800


def _of_demo(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _FLEET if key == "fleet" and _may_be_slug(each) else _of_demo(each) for key, each in value.items()}
    return [_of_demo(each) for each in value] if isinstance(value, list) else value


def _may_be_slug(value: Any) -> bool:
    # What the description forbids is left to be refused.
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_SLUG


@schemathesis.hook
def filter_query(context: Any, query: Any) -> bool:
    """Leave out addresses that the web server refuses before the API sees them (RFC 9110 15.5.15)."""
    return len(urlencode(query or {}, doseq=True, errors="replace")) < _LONGEST_QUERY


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    return _of_demo(body)


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Choose one of the first rows, whose ids are small."""
    for name in ("id", "campaign_id"):
        value = (path_parameters or {}).get(name)
        if isinstance(value, str) and value.isdecimal():
            path_parameters[name] = str(int(value) % _ROWS + 1)
        elif isinstance(value, int):
            path_parameters[name] = abs(value) % _ROWS + 1
    return path_parameters


@schemathesis.hook
def map_headers(context: Any, headers: Any) -> Any:
    """Let every other condition hold."""
    if headers and len(str(headers.get("If-Match", "x"))) % 2 == 0:
        headers["If-Match"] = "*"
    return headers
