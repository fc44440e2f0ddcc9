"""Logging in: every attempt is an audit event, and guessing is braked."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from certportal.models import User
from inventory.audit import record
from inventory.audit.record import Actor
from inventory.models import AuditAction, AuditEvent
from inventory.models.audit import ActorKind

MOST_FAILURES = 10
SPAN = timedelta(minutes=5)
_LONGEST_NAME = 150


def address_of(request: HttpRequest | None) -> str | None:
    """Return where a request came from, as the log that the brake counts keeps it."""
    return record.without_zone(request.META.get("REMOTE_ADDR")) if request is not None else None


def is_braked(username: str, address: str | None, now: datetime) -> bool:
    """Return whether this name or this address failed too often lately. One indexed query."""
    same = Q(actor=username[:_LONGEST_NAME])
    if address is not None:
        same |= Q(source_address=address)
    recent = AuditEvent.objects.filter(same, action=AuditAction.LOGIN_FAILED, at__gt=now - SPAN)
    return len(recent.order_by()[:MOST_FAILURES].values_list("pk")) >= MOST_FAILURES


class LoginForm(AdminAuthenticationForm):
    """The form of the admin, which does not look at a password while the brake is on."""

    def clean(self) -> dict[str, Any]:
        username = self.cleaned_data.get("username") or ""
        if is_braked(username, address_of(self.request), timezone.now()):
            raise ValidationError(
                _("Too many failed logins: more than %(most)s within %(span)s min. Wait %(span)s min, then try again.")
                % {"most": MOST_FAILURES, "span": int(SPAN.total_seconds() // 60)},
                code="braked",
            )
        return super().clean()


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
