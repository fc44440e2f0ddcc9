"""What happens to credentials and rights, as the audit log tells it: never the password, always who changed what."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import transaction

from certportal.models import User
from inventory.audit.record import Actor, event, record
from inventory.models import AuditAction

# What an account may do, and whether it may log in at all.
ACCESS_FIELDS = ("is_active", "is_staff", "is_superuser", "owner", "groups", "user_permissions")
Rights = dict[str, Any]


@contextmanager
def recorded_password(user_id: int, *, now: datetime, actor: Actor) -> Iterator[None]:
    """Do something that may set the password of an account; if it did, the event is in the same transaction.

    Compares the stored hashes, which differ even for the same password set again: each has a salt of its own.
    """
    with transaction.atomic():
        before = _stored(user_id)
        yield
        if _stored(user_id) != before:
            record_password(User.objects.get(pk=user_id), now=now, actor=actor)


def record_password(user: User, *, now: datetime, actor: Actor) -> None:
    """Tell that a password was set, or taken away, in the transaction of the act."""
    details = {} if user.has_usable_password() else {"usable": False}
    record([event(AuditAction.PASSWORD_CHANGED, now=now, actor=actor, object_name=user.username, details=details)])


def rights_of(user: User) -> Rights:
    """Return what an account may do as the audit log words it: flags, and names of roles and permissions, sorted."""
    return {
        "is_active": user.is_active,
        "is_staff": user.is_staff,
        "is_superuser": user.is_superuser,
        "owner": user.owner.username if user.owner else None,
        "groups": sorted(user.groups.values_list("name", flat=True)),
        "user_permissions": _names(user.user_permissions.all()),
    }


def permissions_of(role: Group) -> Rights:
    return {"permissions": _names(role.permissions.all())}


def record_rights(user: User, before: Rights | None, *, now: datetime, actor: Actor) -> None:
    """Tell which rights an account gained or lost since `before` was read; None: it is new and had none."""
    before = {"is_active": True} if before is None else before
    _record(AuditAction.ACCESS_CHANGED, user.username, before, rights_of(user), now, actor)


def record_permissions(role: Group, before: Rights, *, now: datetime, actor: Actor) -> None:
    """Tell which permissions a role gained or lost since `before` was read."""
    _record(AuditAction.ROLE_CHANGED, role.name, before, permissions_of(role), now, actor)


def _record(action: AuditAction, name: str, before: Rights, after: Rights, now: datetime, actor: Actor) -> None:
    changes = {field: [before.get(field), value] for field, value in after.items() if before.get(field, False) != value}
    changes = {field: pair for field, pair in changes.items() if any(pair)}
    if changes:
        record([event(action, now=now, actor=actor, object_name=name, details={"changes": changes})])


def _names(permissions: Iterable[Permission]) -> list[str]:
    found = permissions.values_list("content_type__app_label", "codename")  # type: ignore[attr-defined]
    return sorted(f"{app}.{code}" for app, code in found)


def _stored(user_id: int) -> str | None:
    """Return the stored hash of a password, locked: of two who set one at once, each is told."""
    locked = User.objects.select_for_update(no_key=True).filter(pk=user_id)
    return locked.values_list("password", flat=True).first()
