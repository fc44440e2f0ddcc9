"""How often a client may ask. Counted in Valkey, for all processes together."""

import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError
from rest_framework import status
from rest_framework.exceptions import APIException, Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from certportal.brakes import networks_of
from certportal.models import ApiToken
from inventory.audit.record import without_zone

if TYPE_CHECKING:
    # That module loads this one, named in the settings, while it is loaded itself.
    from rest_framework.views import APIView

_WINDOW = 60
_COUNTED = "certportal.counted"


class LimiterUnavailable(APIException):
    """Valkey does not answer, so nobody knows how much was asked: refuse rather than let everything through."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "limiter_unavailable"
    default_detail = "The portal cannot count requests: its queue store does not answer. Try again in 10 seconds."
    wait = 10


class MinuteThrottle(BaseThrottle):
    """So many requests in each minute of the clock: for a token, else for a user, else for an address."""

    def allow_request(self, request: Request, view: "APIView | None") -> bool:
        """Count the request. Raises Throttled beyond the limit, LimiterUnavailable when it cannot be known."""
        request._request.META[_COUNTED] = True
        client, limit = _client(request)
        minute, elapsed = divmod(time.time(), _WINDOW)
        key = f"api-requests:{client}:{minute:.0f}"
        try:
            used = _count(key)
        except RedisError as error:
            raise LimiterUnavailable from error
        if used > limit:
            raise Throttled(_WINDOW - elapsed, f"More than {limit} requests in this minute.")
        return True


def _count(key: str) -> int:
    try:
        return cache.incr(key)
    except ValueError:  # the first of this minute, or of several that come together
        return 1 if cache.add(key, 1, timeout=2 * _WINDOW) else cache.incr(key)


def count_refused(request: Request) -> None:
    """Count a request that was refused before its turn to be counted: a wrong token, none, or one that may not.

    Raises as `MinuteThrottle` does. A token that is good is known before this and counted by itself, so wrong ones
    from behind the same address never stop it.
    """
    if _COUNTED not in request._request.META:
        MinuteThrottle().allow_request(request, None)


def _client(request: Request) -> tuple[str, int]:
    if isinstance(request.auth, ApiToken):
        return f"token:{request.auth.digest}", settings.API_REQUESTS_PER_MINUTE
    if request.user and request.user.is_authenticated:
        return f"user:{request.user.pk}", settings.API_REQUESTS_PER_MINUTE
    network = networks_of(without_zone(request.META.get("REMOTE_ADDR")))[0]
    return f"address:{network}", settings.API_ANONYMOUS_REQUESTS_PER_MINUTE
