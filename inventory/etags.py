"""Requests that depend on what the client has seen (RFC 9110 13).

The ETag of an object is a digest of its representation: no column keeps a version, so no writer can forget it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.utils.http import parse_etags, quote_etag
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder

_DIGITS = 32


class PreconditionRequired(APIException):
    """RFC 6585 3: without If-Match, one of two writers would undo what the other did."""

    status_code = status.HTTP_428_PRECONDITION_REQUIRED
    default_code = "if_match_required"
    default_detail = "Send If-Match with the ETag of the object as you read it, so that no change of others is lost."


class PreconditionFailed(APIException):
    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "changed_meanwhile"
    default_detail = "The object is not what you read any more. Read it again, then decide."


def etag(data: Mapping[str, Any]) -> str:
    """Return the ETag of a representation, quoted."""
    text = json.dumps(data, cls=JSONEncoder, sort_keys=True, separators=(",", ":"))
    return quote_etag(hashlib.sha256(text.encode()).hexdigest()[:_DIGITS])


def require_match(request: Request, current: str) -> None:
    """Raise unless If-Match names `current`. `*` names whatever there is."""
    given = request.headers.get("If-Match")
    if given is None:
        raise PreconditionRequired
    named = parse_etags(given)
    # RFC 9110 13.1.1: a weak one never matches here.
    if "*" not in named and current not in named:
        raise PreconditionFailed
