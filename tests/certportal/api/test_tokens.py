"""Tokens: who is let in, as whom, and what is noted about it."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from certportal.api.tokens import TokenRefused, create_token
from certportal.models import ApiToken, User
from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent
from tests.certportal.api.conftest import client_with, user
from tests.factories import DAY, NOW

FLEETS = "/api/v1/fleets/"


def token(owner: User, *, name: str = "line 7", lifetime: timedelta | None = None) -> tuple[ApiToken, str]:
    return create_token(owner, name=name, scopes=(), lifetime=lifetime, now=timezone.now(), actor=SYSTEM)


@pytest.mark.django_db
@pytest.mark.parametrize("keyword", ["Bearer", "Token", "bearer", "TOKEN"])
def test_a_token_opens_the_api_under_both_words(keyword):
    _, secret = token(user())
    client = APIClient(headers={"Authorization": f"{keyword} {secret}"})
    assert client.get(FLEETS).status_code == 200


@pytest.mark.django_db
def test_the_secret_is_kept_nowhere():
    row, secret = token(user())
    row.refresh_from_db()
    assert secret.startswith("cpt_")
    assert secret not in str(vars(row))
    assert row.digest != secret


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer cpt_",
        "Bearer a b",
        "Bearer cpt_" + "0" * 64,
        "Bearer cpt_" + "g" * 64,
        "Bearer " + "é" * 68,
        "Bearer " + "0" * 100_000,
    ],
)
@pytest.mark.django_db
def test_a_token_that_was_never_made_is_refused_with_the_way_in(header):
    answer = APIClient(headers={"Authorization": header}).get(FLEETS)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="certportal"'
    assert answer.json()["error"]["code"] == "authentication_failed"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic b3BzOm9wcw=="}])
@pytest.mark.django_db
def test_without_a_token_the_answer_says_how_to_get_one(headers):
    answer = APIClient(headers=headers).get(FLEETS)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="certportal"'
    assert answer.json()["error"]["code"] == "not_authenticated"
    assert "api_token" in answer.json()["error"]["message"]


@pytest.mark.django_db
def test_a_token_works_until_its_last_moment_and_not_in_it():
    row, secret = token(user(), lifetime=DAY)
    client = client_with(secret)
    assert client.get(FLEETS).status_code == 200
    ApiToken.objects.filter(pk=row.pk).update(expiry=timezone.now())
    answer = client.get(FLEETS)
    assert answer.status_code == 401
    assert f"expired on {timezone.now():%Y-%m-%d}" in answer.json()["error"]["message"]
    assert ApiToken.objects.filter(pk=row.pk).exists()


@pytest.mark.django_db
def test_a_deleted_token_is_refused():
    row, secret = token(user())
    row.delete()
    assert client_with(secret).get(FLEETS).status_code == 401


@pytest.mark.django_db
def test_the_tokens_of_an_inactive_user_are_refused():
    owner = user()
    _, secret = token(owner)
    User.objects.filter(pk=owner.pk).update(is_active=False)
    answer = client_with(secret).get(FLEETS)
    assert answer.status_code == 401
    assert "not active" in answer.json()["error"]["message"]


@pytest.mark.django_db
def test_a_use_is_noted_once_a_minute(django_assert_num_queries):
    row, secret = token(user())
    client = client_with(secret)
    before = timezone.now()
    client.get(FLEETS)
    first = used_at(row)
    assert before <= first <= timezone.now()
    with django_assert_num_queries(4):  # the token, the permissions of user and groups, the page
        client.get(FLEETS)
    assert used_at(row) == first
    ApiToken.objects.filter(pk=row.pk).update(last_used_at=first - timedelta(seconds=61))
    client.get(FLEETS)
    assert used_at(row) >= first


def used_at(row: ApiToken) -> datetime:
    row.refresh_from_db()
    assert row.last_used_at is not None
    return row.last_used_at


@pytest.mark.django_db
def test_making_a_token_is_audited_with_what_it_may_and_until_when():
    owner = user("ops")
    create_token(owner, name="siem", scopes=["audit-events"], lifetime=DAY, now=NOW, actor=SYSTEM)
    event = AuditEvent.objects.get(action=AuditAction.TOKEN_CREATED)
    assert event.at == NOW
    assert event.object_name == "ops: siem"
    assert event.details == {"scopes": ["audit-events"], "expires": "2027-03-02T12:00:00+00:00"}


@pytest.mark.django_db
def test_a_name_names_one_token_of_a_user():
    owner = user()
    token(owner, name="siem")
    with pytest.raises(TokenRefused, match="already has a token named 'siem'"):
        token(owner, name="siem")
    assert AuditEvent.objects.filter(action=AuditAction.TOKEN_CREATED).count() == 1
    token(user("another"), name="siem")


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["", "x" * 101])
def test_a_token_without_a_usable_name_is_refused(name):
    with pytest.raises(TokenRefused, match="cannot be named"):
        token(user(), name=name)


@pytest.mark.django_db
def test_a_session_of_the_admin_reads_the_api_too():
    client = APIClient()
    client.force_login(user())
    assert client.get(FLEETS).status_code == 200
