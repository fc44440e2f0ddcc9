"""Tokens: how a program proves that a user lets it use the API."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from knox.crypto import hash_token
from knox.models import get_digest_token
from knox.settings import CONSTANTS, knox_settings
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from certportal.api import scopes as api_scopes
from certportal.models import ApiToken, User
from inventory.audit.record import Actor, event, record
from inventory.models import AuditAction

_KEYWORDS = (b"bearer", b"token")
_TOKEN = re.compile(
    rf"{re.escape(knox_settings.TOKEN_PREFIX)}[0-9a-f]{{{knox_settings.AUTH_TOKEN_CHARACTER_LENGTH}}}".encode()
)
# A use is noted at most this often: a busy token costs one write a minute, not one a request.
_USE_NOTED_EVERY = timedelta(minutes=1)


class TokenRefused(ValueError):
    """A token that cannot be made as asked."""


def create_token(
    user: User, *, name: str, scopes: Iterable[str], lifetime: timedelta | None, now: datetime, actor: Actor
) -> tuple[ApiToken, str]:
    """Make a token for `user`; return its row and the secret, which is kept nowhere and cannot be shown again.

    Raises UnknownScope, and TokenRefused when the name is unusable or already taken.
    """
    try:
        ApiToken._meta.get_field("name").clean(name, None)
    except ValidationError as error:
        raise TokenRefused(f"A token cannot be named {name!r}: {' '.join(error.messages)}") from error
    digest, secret = get_digest_token()
    token = ApiToken(
        digest=digest,
        token_key=secret[: CONSTANTS.TOKEN_KEY_LENGTH],
        user=user,
        expiry=now + lifetime if lifetime else None,
        name=name,
        scopes=api_scopes.checked(scopes),
    )
    try:
        with transaction.atomic():
            token.save(force_insert=True)
            record(
                [
                    event(
                        AuditAction.TOKEN_CREATED,
                        now=now,
                        actor=actor,
                        object_name=str(token),
                        details=_told(token),
                    )
                ]
            )
    except IntegrityError as error:
        raise TokenRefused(f"{user} already has a token named {name!r}. Choose another name.") from error
    return token, secret


def revoke_token(token: ApiToken, *, now: datetime, actor: Actor) -> None:
    """Delete a token, which works no more from then on."""
    with transaction.atomic():
        action = AuditAction.TOKEN_REVOKED
        record([event(action, now=now, actor=actor, object_name=str(token), details=_told(token))])
        token.delete()


def _told(token: ApiToken) -> dict[str, Any]:
    """Return what the audit log tells of a token."""
    return {"scopes": token.scopes, "expires": token.expiry.isoformat() if token.expiry else None}


class ApiTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer TOKEN`, or `Token TOKEN`.

    Stands beside Knox's own class, which deletes expired tokens while it looks for one; here they stay for the record.
    """

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """Return the user and the token; None when the header is absent or means another scheme.

        Raises AuthenticationFailed: malformed, unknown, expired, or its user is not active.
        """
        words = get_authorization_header(request).split()
        if not words or words[0].lower() not in _KEYWORDS:
            return None
        if len(words) != 2 or not _TOKEN.fullmatch(words[1]):
            raise AuthenticationFailed(
                f"The Authorization header holds no token of this portal: 'Bearer {knox_settings.TOKEN_PREFIX}…'."
            )
        now = timezone.now()
        # The key is the SHA-512 of 256 random bits: looking it up by equality gives nothing to guess from.
        # And by `get`: `first` sorts, for which Django hashes each column of each request's question.
        try:
            token = ApiToken.objects.select_related("user").get(digest=hash_token(words[1].decode()))
        except ApiToken.DoesNotExist:
            unknown = "This token is not known: it was deleted, or never made. Ask for a new one."
            raise AuthenticationFailed(unknown) from None
        if token.expiry is not None and token.expiry <= now:
            raise AuthenticationFailed(f"This token expired on {token.expiry:%Y-%m-%d}. Ask for a new one.")
        if not token.user.is_active:
            raise AuthenticationFailed(f"The user of this token, {token.user}, is not active.")
        _note_use(token, now)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="certportal"'


def _note_use(token: ApiToken, now: datetime) -> None:
    stale = now - _USE_NOTED_EVERY
    if token.last_used_at is None or token.last_used_at <= stale:
        # The condition again in SQL: of many requests at once, one writes.
        ApiToken.objects.filter(Q(last_used_at__isnull=True) | Q(last_used_at__lte=stale), pk=token.pk).update(
            last_used_at=now
        )
