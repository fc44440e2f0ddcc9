"""ETags on single objects: who has seen one is told that nothing has changed (RFC 9110 13.1.2)."""

import functools
from typing import Any

from django.utils.http import parse_etags
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.etags import etag


def conditional(viewset: Any) -> Any:
    """Return `viewset` with ETags on single objects, and 304 for who has seen them; or as it is without such."""
    if not hasattr(viewset, "retrieve"):
        return viewset

    # Keeps what drf-spectacular was told of the method.
    @functools.wraps(viewset.retrieve)
    def retrieve(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        answer: Response = viewset.retrieve(self, request, *args, **kwargs)
        current = etag(answer.data)
        headers = {"ETag": current, "Vary": "Authorization, Cookie"}
        named = [tag.removeprefix("W/") for tag in parse_etags(request.headers.get("If-None-Match", ""))]
        if "*" in named or current in named:
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers=headers)
        for name, value in headers.items():
            answer[name] = value
        return answer

    return type(viewset.__name__, (viewset,), {"retrieve": retrieve, "__doc__": viewset.__doc__})
