"""Versions of what the API shows: nothing is sent twice to who has it, and nobody overwrites what they did not see.

The ETag is a hash of the JSON itself (RFC 9110 8.8.3), so it changes exactly when something shown does.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from django.http import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.http import parse_etags
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

_CONDITION = "If-Match"


class PreconditionRequired(APIException):
    """RFC 6585 3: without the condition two people overwrite each other."""

    status_code = status.HTTP_428_PRECONDITION_REQUIRED
    default_code = "precondition_required"
    default_detail = (
        f"A change needs the header {_CONDITION} with the ETag of the object that it changes. "
        "Read the object, without fields=, and send the ETag that came with it."
    )


class PreconditionFailed(APIException):
    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "precondition_failed"
    default_detail = (
        f"The object is no longer as the ETag in {_CONDITION} says, and nothing was changed. Read it again, "
        "without fields=, and decide anew."
    )


def tag(shown: Mapping[str, Any]) -> str:
    """Return the ETag of an object as the API shows it."""
    return _tag(JSONRenderer().render(shown))


def _tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def condition(request: Request) -> str:
    """Return the If-Match of a request. Raises PreconditionRequired."""
    given = request.headers.get(_CONDITION)
    if given is None:
        raise PreconditionRequired
    return given


def matches(given: str, current: str) -> bool:
    """Tell whether an If-Match, or an ETag alone, names `current`."""
    # RFC 9110 13.1.1: compared as strong, so what is marked as weak never matches.
    return given.strip() == "*" or current in parse_etags(given)


def unless_known(request: Request, response: Response) -> Response:
    """Let a response carry its ETag, and be a 304 without content when If-None-Match has it."""

    def mark(rendered: Any) -> HttpResponseBase | None:
        rendered.headers["ETag"] = etag = _tag(rendered.content)
        patch_cache_control(rendered, private=True, no_cache=True)
        return get_conditional_response(request._request, etag=etag, response=rendered)

    response.add_post_render_callback(mark)
    return response
