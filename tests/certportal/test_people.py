"""Accounts: who may change whose, names that stay, and an audit event for each change of a credential."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import DatabaseError, transaction
from django.urls import reverse
from django.utils import timezone

from certportal.api.tokens import create_token
from certportal.models import ApiToken, NameIsImmutable, User
from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent
from tests.certportal.forms import form_of

NEW = "Correct-Horse-9-Battery"
ACCESS = ("is_superuser", "is_staff", "groups", "user_permissions")


def permissions(*names: str) -> Any:
    return Permission.objects.filter(codename__in=names)


@pytest.fixture
def clerk(db) -> User:
    """Somebody who looks after accounts and is no superuser."""
    made = User.objects.create_user("clerk", password=NEW, is_staff=True)
    made.user_permissions.set(
        permissions("view_user", "change_user", "add_user", "view_group", "change_group", "add_group")
        | permissions("view_apitoken", "delete_apitoken")
    )
    return made


@pytest.fixture
def ana(db) -> User:
    return User.objects.create_user("ana", password="an old password")


def edit(user: User) -> str:
    return reverse("admin:certportal_user_change", args=[user.pk])


def password_of(user: User) -> str:
    return reverse("admin:auth_user_password_change", args=[user.pk])


def set_password(client, user: User) -> Any:
    data = {"password1": NEW, "password2": NEW, "usable_password": "true", "set-password": ""}
    return client.post(password_of(user), data)


def told(*actions: AuditAction) -> list[tuple[str, str, str]]:
    events = AuditEvent.objects.filter(action__in=actions).order_by("id")
    return list(events.values_list("action", "actor", "object_name"))


# --- Who touches whom -------------------------------------------------------------------------------------------------


def test_only_a_superuser_changes_a_superuser_or_sets_the_password_of_another(client, clerk, boss, ana):
    client.force_login(clerk)
    assert client.post(edit(boss), {"first_name": "Mine"}).status_code == 403
    for other in (boss, ana):
        before = other.password
        assert set_password(client, other).status_code == 403
        other.refresh_from_db()
        assert other.password == before
    client.force_login(boss)
    assert set_password(client, ana).status_code == 302


@pytest.mark.parametrize("field", ACCESS)
def test_who_is_no_superuser_gives_no_rights_to_anybody(client, clerk, ana, field):
    powerful = Group.objects.create(name="PKI officer")
    value = {"groups": [powerful.pk], "user_permissions": [Permission.objects.first().pk]}.get(field, "on")
    client.force_login(clerk)
    for account in (clerk, ana):
        before = {name: set(getattr(account, name).all()) for name in ("groups", "user_permissions")}
        flags = (account.is_staff, account.is_superuser)
        assert client.post(edit(account), {**form_of(client, edit(account)), field: value}).status_code == 302
        account = User.objects.get(pk=account.pk)
        assert {name: set(getattr(account, name).all()) for name in before} == before
        assert (account.is_staff, account.is_superuser) == flags


def test_who_is_no_superuser_changes_the_address_of_an_ordinary_account_and_closes_it(client, clerk, ana):
    client.force_login(clerk)
    data = {**form_of(client, edit(ana)), "email": "ana@example.test"}
    del data["is_active"]
    assert client.post(edit(ana), data).status_code == 302
    ana.refresh_from_db()
    assert (ana.email, ana.is_active) == ("ana@example.test", False)


def test_a_role_is_changed_by_superusers_alone(client, clerk, boss):
    role = Group.objects.create(name="viewer")
    address = reverse("admin:auth_group_change", args=[role.pk])
    permission = Permission.objects.get(codename="view_device")
    change = {"name": "viewer", "permissions": [permission.pk]}
    client.force_login(clerk)
    assert client.post(address, change).status_code == 403
    assert client.post(reverse("admin:auth_group_add"), change).status_code == 403
    client.force_login(boss)
    assert client.post(address, change).status_code == 302
    assert list(role.permissions.all()) == [permission]
    event = AuditEvent.objects.get(action=AuditAction.ROLE_CHANGED)
    assert (event.actor, event.object_name) == ("boss", "viewer")
    assert event.details["changes"] == {"permissions": [[], ["inventory.view_device"]]}


def test_the_token_of_a_superuser_is_withdrawn_by_a_superuser(client, clerk, boss, ana):
    tokens = [token(owner) for owner in (boss, ana)]
    client.force_login(clerk)
    answers = [client.post(withdrawal(each), {"post": "yes"}).status_code for each in tokens]
    assert answers == [403, 302]
    assert list(ApiToken.objects.all()) == tokens[:1]


# --- Each change of a credential is told ------------------------------------------------------------------------------


def token(owner: User) -> ApiToken:
    return create_token(owner, name="line 7", scopes=(), lifetime=None, now=timezone.now(), actor=SYSTEM)[0]


def withdrawal(of: ApiToken) -> str:
    return reverse("admin:certportal_apitoken_delete", args=[of.pk])


def test_a_password_that_an_administrator_sets_is_an_event_without_the_password(client, boss, ana):
    client.force_login(boss)
    assert set_password(client, ana).status_code == 302
    assert told(AuditAction.PASSWORD_CHANGED) == [("user:password:changed", "boss", "ana")]
    assert NEW not in str(list(AuditEvent.objects.values_list("details")))
    # A form that was refused changed nothing.
    client.post(password_of(ana), {"password1": "a", "password2": "b", "usable_password": "true"})
    assert len(told(AuditAction.PASSWORD_CHANGED)) == 1


def test_a_password_that_is_taken_away_is_told_too(client, boss, ana):
    client.force_login(boss)
    client.post(password_of(ana), {"usable_password": "false", "unset-password": ""})
    ana.refresh_from_db()
    assert not ana.has_usable_password()
    event = AuditEvent.objects.get(action=AuditAction.PASSWORD_CHANGED)
    assert event.details == {"usable": False}


def test_a_person_who_changes_the_own_password_is_told_of(client, boss):
    client.force_login(boss)
    data = {"old_password": "a long enough password", "new_password1": NEW, "new_password2": NEW}
    assert client.post(reverse("admin:password_change"), data).status_code == 302
    assert told(AuditAction.PASSWORD_CHANGED) == [("user:password:changed", "boss", "boss")]


def test_a_new_account_and_its_password_are_told(client, boss):
    client.force_login(boss)
    data = {"username": "new", "password1": NEW, "password2": NEW, "usable_password": "true"}
    assert client.post(reverse("admin:certportal_user_add"), data).status_code == 302
    assert told(AuditAction.PASSWORD_CHANGED) == [("user:password:changed", "boss", "new")]


def test_rights_given_and_taken_are_an_event_with_their_names(client, boss, ana):
    viewers = Group.objects.create(name="viewer")
    client.force_login(boss)
    unchanged = form_of(client, edit(ana))
    change = {**unchanged, "groups": [viewers.pk], "is_staff": "on", "is_superuser": "on"}
    assert client.post(edit(ana), change).status_code == 302
    event = AuditEvent.objects.get(action=AuditAction.ACCESS_CHANGED)
    assert (event.actor, event.object_name) == ("boss", "ana")
    changed: dict[str, list[Any]] = {
        "is_staff": [False, True],
        "is_superuser": [False, True],
        "groups": [[], ["viewer"]],
    }
    assert event.details["changes"] == changed
    assert client.post(edit(ana), unchanged).status_code == 302
    taken = AuditEvent.objects.filter(action=AuditAction.ACCESS_CHANGED).latest("id")
    assert taken.details["changes"] == {name: [new, old] for name, (old, new) in changed.items()}


def test_a_token_made_and_withdrawn_is_told_by_words_of_its_own(client, boss, ana):
    made = token(ana)
    client.force_login(boss)
    assert client.post(withdrawal(made), {"post": "yes"}).status_code == 302
    assert told(AuditAction.TOKEN_CREATED, AuditAction.TOKEN_REVOKED) == [
        ("user:token:created", "certportal", "ana: line 7"),
        ("user:token:revoked", "boss", "ana: line 7"),
    ]


def test_a_log_out_is_an_event(client, boss):
    client.force_login(boss)
    client.post(reverse("admin:logout"), REMOTE_ADDR="198.51.100.7")
    event = AuditEvent.objects.get(action=AuditAction.LOGGED_OUT)
    assert (event.actor, event.source_address) == ("boss", "198.51.100.7")
    client.post(reverse("admin:logout"))
    assert AuditEvent.objects.filter(action=AuditAction.LOGGED_OUT).count() == 1


def test_accounts_made_at_the_command_line_are_told(db, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", NEW)
    call_command("createsuperuser", interactive=False, username="root", email="", verbosity=0)
    assert told(AuditAction.PASSWORD_CHANGED, AuditAction.ACCESS_CHANGED) == [
        ("user:password:changed", "certportal", "root"),
        ("user:access:changed", "certportal", "root"),
    ]


def test_a_password_set_at_the_command_line_is_told(ana, monkeypatch):
    monkeypatch.setattr("getpass.getpass", lambda prompt: NEW)
    call_command("changepassword", "ana")
    assert told(AuditAction.PASSWORD_CHANGED) == [("user:password:changed", "certportal", "ana")]


# --- Names stay -------------------------------------------------------------------------------------------------------


def test_a_name_is_never_changed_by_a_form_a_model_or_a_statement(client, boss, ana):
    client.force_login(boss)
    assert client.post(edit(ana), {**form_of(client, edit(ana)), "username": "eve"}).status_code == 302
    ana.refresh_from_db()
    assert ana.username == "ana"
    ana.username = "eve"
    with pytest.raises(NameIsImmutable, match="ana"):
        ana.save()
    with pytest.raises(DatabaseError, match="is not changed"), transaction.atomic():
        User.objects.filter(pk=ana.pk).update(username="eve")
    assert User.objects.get(pk=ana.pk).username == "ana"


def test_an_account_whose_name_was_not_read_is_saved(ana):
    partly = User.objects.only("email").get(pk=ana.pk)
    partly.email = "ana@example.test"
    partly.save()
    assert User.objects.get(pk=ana.pk).email == "ana@example.test"
