"""Logging in: every attempt is an audit event, and guessing is slow without keeping anybody out."""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from math import ceil
from typing import Any

from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, TimestampSigner
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from certportal import brakes, hashing
from certportal.brakes import Bucket
from certportal.models import User
from inventory.audit import record
from inventory.audit.record import Actor
from inventory.models import AuditAction
from inventory.models.audit import ActorKind

MOST_ATTEMPTS = 10
SECONDS_BETWEEN = 30.0
_LONGEST_NAME = 150

# A browser in which somebody has logged in: it has attempts of its own, which nobody else can use up.
KNOWN_DEVICE = "known_device"
_KNOWN_FOR = timedelta(days=180)
_SIGNER = TimestampSigner(salt="certportal.access.known_device")


def address_of(request: HttpRequest | None) -> str | None:
    """Return where a request came from, as the log keeps it."""
    return record.without_zone(request.META.get("REMOTE_ADDR")) if request is not None else None


class LoginForm(AdminAuthenticationForm):
    """The form of the admin, which does not look at a password while a brake is on.

    Attempts are counted for a name from a network: what others do elsewhere stops nobody. A browser that is known to
    the person is counted by itself, so not even a stranger behind the same address stops who has logged in before.
    """

    def clean(self) -> dict[str, Any]:
        username = self.cleaned_data.get("username") or ""
        user_id = User.objects.filter(username=username).values_list("pk", flat=True).first()
        nonce = nonce_of(self.request, user_id)
        reserved = _buckets(username, address_of(self.request), nonce)
        wait = brakes.reserve(reserved, timezone.now())
        if wait is not None:
            raise ValidationError(
                _("Too many attempts with this name from your network. Try again in %(seconds)s s.")
                % {"seconds": ceil(wait.total_seconds())},
                code="braked",
            )
        if nonce is None and hashing.is_busy():
            raise ValidationError(_("Too many people log in at this moment. Try again in some seconds."), code="busy")
        if user_id is None and self._is_one_name_too_many():
            # As if it had been tried: that nobody has the name stays untold, and costs no more.
            hashing.pause()
            raise self.get_invalid_login_error()
        cleaned: dict[str, Any] = super().clean()
        brakes.give_back(reserved)
        return cleaned

    def _is_one_name_too_many(self) -> bool:
        network = brakes.networks_of(address_of(self.request))[-1]
        names = Bucket.of("names nobody has", network, holds=30, seconds=10.0)
        return brakes.reserve([names], timezone.now()) is not None


def _buckets(username: str, address: str | None, nonce: str | None) -> list[Bucket]:
    if nonce is not None:
        return [Bucket.of("device", nonce, holds=MOST_ATTEMPTS, seconds=SECONDS_BETWEEN)]
    nearest, *wider = brakes.networks_of(address)
    return [
        Bucket.of("name", username, nearest, holds=MOST_ATTEMPTS, seconds=SECONDS_BETWEEN),
        *(Bucket.of("name", username, net, holds=4 * MOST_ATTEMPTS, seconds=SECONDS_BETWEEN / 4) for net in wider),
    ]


def nonce_of(request: HttpRequest | None, user_id: int | None) -> str | None:
    """Return what names a browser in which this account has logged in before; None: the browser is not known."""
    if request is None or user_id is None:
        return None
    try:
        said = _SIGNER.unsign(request.COOKIES.get(KNOWN_DEVICE, ""), max_age=_KNOWN_FOR)
    except BadSignature:
        return None
    known, _colon, nonce = said.partition(":")
    return nonce if known == str(user_id) else None


def remember_device(request: HttpRequest, response: HttpResponse) -> None:
    """Let the browser in which somebody has just logged in be known again."""
    user_id = request.user.pk
    nonce = nonce_of(request, user_id) or secrets.token_urlsafe(16)
    response.set_cookie(
        KNOWN_DEVICE,
        _SIGNER.sign(f"{user_id}:{nonce}"),
        max_age=_KNOWN_FOR,
        path=reverse("admin:login"),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


@receiver(user_logged_in)
def record_login(request: HttpRequest | None, user: User, **_kwargs: Any) -> None:
    _record(AuditAction.LOGIN_SUCCEEDED, ActorKind.USER, user.get_username(), request)


@receiver(user_logged_out)
def record_logout(request: HttpRequest | None, user: User | None, **_kwargs: Any) -> None:
    """Record who left; nobody, when the session had ended before."""
    if user is not None:
        _record(AuditAction.LOGGED_OUT, ActorKind.USER, user.get_username(), request)


@receiver(user_login_failed)
def record_failure(credentials: Mapping[str, Any], request: HttpRequest | None = None, **_kwargs: Any) -> None:
    """Record the name that was tried; the password is no part of `credentials`' text that we keep."""
    _record(AuditAction.LOGIN_FAILED, ActorKind.UNKNOWN, str(credentials.get("username", "")), request)


def _record(action: AuditAction, kind: ActorKind, username: str, request: HttpRequest | None) -> None:
    # PostgreSQL holds no NUL in text, and a browser may send one.
    name = username.replace("\x00", "\\0")[:_LONGEST_NAME]
    actor = Actor(kind, name, address_of(request))
    with transaction.atomic():
        record.record([record.event(action, now=timezone.now(), actor=actor, object_name=name)])
