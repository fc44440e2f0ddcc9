"""Who acts over the API."""

from rest_framework.request import Request

from inventory.audit.record import Actor, without_zone
from inventory.models.audit import ActorKind


def actor_of(request: Request) -> Actor:
    """Return the program behind a request, as user and token, or the person who logged in."""
    return Actor(
        ActorKind.USER,
        str(request.auth or request.user),
        without_zone(request.META.get("REMOTE_ADDR")),
        user_id=request.user.pk,
    )
