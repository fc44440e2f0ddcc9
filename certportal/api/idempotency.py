"""Requests that may be sent again: one with an Idempotency-Key is carried out once, and answered the same each time.

Its answer is kept in the transaction of the act. So either both are there or neither, whatever breaks in between.
"""

import functools
import hashlib
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from certportal.models import KeptAnswer

HEADER = "Idempotency-Key"
KEPT_FOR = timedelta(days=1)
_KEPT_HEADERS = ("ETag", "Location")
_CHANGES = ("partial_update", "partial_update_many")
# RFC 9110 5.6.2 and 5.6.4: what a header can hold as it is.
_KEY = re.compile(r"[!-~]{1,200}")


class KeyReused(APIException):
    """The key belongs to another request: which of the two is meant, only the client knows."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "idempotency_key_reused"
    default_detail = f"This {HEADER} was used for another request within a day. Send a new key with a new request."


class BodyTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"

    def __init__(self, most: int) -> None:
        super().__init__(f"The body has more than {most} bytes. Send it in parts.")


def asked_once(viewset: Any) -> Any:
    """Return `viewset` with bounded bodies, and with every method that answers POST knowing Idempotency-Key."""
    posts = [act.__name__ for act in viewset.get_extra_actions() if "post" in act.mapping]
    acts = {
        **{name: _bounded(getattr(viewset, name)) for name in _CHANGES if hasattr(viewset, name)},
        **{name: _bounded(_knowing(getattr(viewset, name))) for name in ["create", *posts] if hasattr(viewset, name)},
    }
    return type(viewset.__name__, (viewset,), {**acts, "__doc__": viewset.__doc__}) if acts else viewset


# Both keep what REST framework and drf-spectacular were told of the method.


def _bounded(act: Callable[..., Response]) -> Callable[..., Response]:
    @functools.wraps(act)
    def bounded(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        most = getattr(self, "most_bytes", settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        # REST framework reads a body of JSON whole, whatever its size.
        announced = request.META.get("CONTENT_LENGTH") or "0"
        if not announced.isdecimal() or int(announced) > most:
            raise BodyTooLarge(most)
        return act(self, request, *args, **kwargs)

    return bounded


def _knowing(act: Callable[..., Response]) -> Callable[..., Response]:
    @functools.wraps(act)
    def once(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        return _once(self, request, lambda: act(self, request, *args, **kwargs))

    return once


def forget(now: datetime) -> int:
    """Delete the answers that were kept long enough; return how many."""
    deleted, _ = KeptAnswer.objects.filter(at__lt=now - KEPT_FOR).delete()
    return deleted


def _once(view: Any, request: Request, act: Callable[[], Response]) -> Response:
    key = request.headers.get(HEADER)
    if key is None:
        return act()
    if not _KEY.fullmatch(key):
        raise ValidationError({HEADER: ["1 to 200 printable ASCII characters, no blanks."]})
    digest = hashlib.sha256(f"{request.method} {request.path}\n".encode())
    # What a view reads as a stream is not here as bytes any more: it says itself what it was.
    for part in view.body_parts(request) if hasattr(view, "body_parts") else [request._request.body]:
        digest.update(part)
    user_id = request.user.pk
    assert user_id is not None  # by the permissions, which were asked before
    if getattr(view, "answers_anew", False):
        _remember(user_id, key, digest.digest())
        return act()
    with transaction.atomic():
        # Of two at once the second waits here for the commit of the first.
        kept, is_new = _remember(user_id, key, digest.digest())
        if not is_new:
            return Response(kept.body, kept.status, headers={**kept.headers, "Idempotency-Replayed": "true"})
        answer = act()
        headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
        KeptAnswer.objects.filter(pk=kept.pk).update(status=answer.status_code, body=answer.data, headers=headers)
        return answer


def _remember(user_id: int, key: str, request_sha256: bytes) -> tuple[KeptAnswer, bool]:
    """Return what is kept under a key, and whether it is new. Raises KeyReused when it is of another request."""
    defaults = {"request_sha256": request_sha256, "at": timezone.now()}
    kept, is_new = KeptAnswer.objects.get_or_create(user_id=user_id, key=key, defaults=defaults)
    if bytes(kept.request_sha256) != request_sha256:
        raise KeyReused
    return kept, is_new
