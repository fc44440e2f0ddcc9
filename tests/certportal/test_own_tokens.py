"""The pages on which people make API tokens of their own: shown once, no wider than their person, and audited."""

import logging
import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from certportal import roles
from certportal.api.tokens import create_token
from certportal.api.usable_scopes import SENTENCES, usable_by
from certportal.models import ApiToken, User
from inventory.audit.record import SYSTEM
from inventory.models import AuditAction, AuditEvent
from tests import factories

PAGE = "/admin/tokens/"
SECRET = re.compile(r"cpt_[0-9a-f]{64}")


@pytest.fixture(autouse=True)
def _uncounted() -> None:
    cache.clear()


def with_role(role: str, *, all_fleets: bool = True) -> User:
    roles.make_missing()
    user = User.objects.create_user(role.replace(" ", "-"), is_staff=True, all_fleets=all_fleets)
    user.groups.add(Group.objects.get(name=role))
    return user


def scopes_of(user: User) -> set[str]:
    return {each.scope for each in usable_by(user)}


def make(client: Client, *, name: str = "line 7", days: int = 30, **scopes: list[str]):
    return client.post(PAGE, {"name": name, "days": days, **scopes})


def withdrawal(name: str) -> str:
    return f"{reverse('admin:own_token_revoke')}?{urlencode({'name': name})}"


def test_a_token_is_shown_once_and_works_as_its_line_of_curl_says(client, viewer, small_fleet):
    client.force_login(viewer)
    made = make(client, reads=["devices", "fleets"])
    text = made.content.decode()
    [secret] = set(SECRET.findall(text))
    assert "no-store" in made.headers["Cache-Control"]
    address = re.search(
        r"curl -H &quot;Authorization: Bearer cpt_\w+&quot; &quot;http://testserver(/api/[^&]+)&quot;", text
    )
    assert address
    assert APIClient(headers={"Authorization": f"Bearer {secret}"}).get(address[1]).status_code == 200
    again = client.get(PAGE).content.decode()
    assert "line 7" in again and not SECRET.search(again)
    row = ApiToken.objects.get()
    assert (row.user, row.scopes) == (viewer, ["devices", "fleets"])
    assert timedelta(days=29) < row.expiry - timezone.now() <= timedelta(days=30)


def test_a_token_is_in_no_log_and_the_audit_log_has_its_scopes_and_end(client, viewer, caplog):
    client.force_login(viewer)
    with caplog.at_level(logging.DEBUG):
        made = make(client, reads=["devices"], days=90)
        client.post(withdrawal("line 7"))
    [secret] = set(SECRET.findall(made.content.decode()))
    assert secret not in caplog.text
    told = list(
        AuditEvent.objects.filter(action__in=[AuditAction.TOKEN_CREATED, AuditAction.TOKEN_REVOKED]).order_by("id")
    )
    assert [(each.action, each.actor, each.object_name) for each in told] == [
        ("user:token:created", "viewer", "viewer: line 7"),
        ("user:token:revoked", "viewer", "viewer: line 7"),
    ]
    for each in told:
        assert each.details["scopes"] == ["devices"] and each.details["expires"]
        assert secret not in str(each.details)


def test_a_form_sent_again_makes_no_second_token_and_shows_none(client, viewer):
    client.force_login(viewer)
    make(client, reads=["devices"])
    again = make(client, reads=["devices"]).content.decode()
    assert "already has a token named" in again and not SECRET.search(again)
    assert ApiToken.objects.count() == 1


def test_what_reads_is_chosen_to_begin_with_and_what_changes_is_not(client, boss):
    client.force_login(boss)
    form = client.get(PAGE).context["form"]
    assert form["reads"].value() == [value for value, _label in form.fields["reads"].choices]
    assert not form["writes"].value()
    assert form["days"].value() == 30


def test_without_a_scope_no_token_is_made_since_it_would_read_everything(client, boss):
    client.force_login(boss)
    assert "choose at least one" in make(client).content.decode()
    assert not ApiToken.objects.exists()


def test_nobody_gets_a_scope_that_his_or_her_permissions_cannot_use(client, db):
    viewer = with_role("viewer")
    client.force_login(viewer)
    page = client.get(PAGE).content.decode()
    assert "device-notes:write" not in page and "audit-events" not in page
    assert make(client, reads=["audit-events"]).status_code == 200
    assert make(client, writes=["devices:write"]).status_code == 200
    assert not ApiToken.objects.exists()


def test_each_role_is_offered_what_it_can_use(db):
    viewer, operator, administrator = (with_role(role) for role in ("viewer", "operator", "administrator"))
    assert {"devices", "certificates", "campaigns"} <= scopes_of(viewer)
    assert not scopes_of(viewer) & {"devices:write", "imports", "audit-events"}
    assert {"devices:write", "imports:write", "alerts:write"} <= scopes_of(operator)
    assert {"alert-policies:write", "audit-events"} <= scopes_of(administrator)
    of_some_fleets = User.objects.get(pk=administrator.pk)
    of_some_fleets.all_fleets = False
    assert "alert-policies:write" not in scopes_of(of_some_fleets)


def test_every_scope_that_opens_something_has_its_sentence_and_no_other(boss):
    assert scopes_of(boss) == set(SENTENCES)


def test_changing_includes_reading_so_the_token_holds_one_scope_of_both(client, boss):
    client.force_login(boss)
    make(client, reads=["devices", "sites"], writes=["devices:write"])
    assert ApiToken.objects.get().scopes == ["devices:write", "sites"]


@pytest.mark.parametrize("days", ["31", "0", "-1", "3650", "x", ""])
def test_no_other_end_is_taken_than_those_offered(client, boss, days):
    client.force_login(boss)
    client.post(PAGE, {"name": "line 7", "days": days, "reads": ["devices"]})
    assert not ApiToken.objects.exists()


def test_a_person_sees_and_withdraws_own_tokens_only(client, viewer, boss):
    create_token(boss, name="of the boss", scopes=["devices"], lifetime=None, now=timezone.now(), actor=SYSTEM)
    client.force_login(viewer)
    assert "of the boss" not in client.get(PAGE).content.decode()
    assert client.get(withdrawal("of the boss")).status_code == 404
    assert client.post(withdrawal("of the boss")).status_code == 404
    assert ApiToken.objects.count() == 1


def test_to_withdraw_is_asked_back_and_ends_the_token(client, viewer):
    client.force_login(viewer)
    [secret] = set(SECRET.findall(make(client, name="a & b", reads=["fleets"]).content.decode()))
    asked = client.get(withdrawal("a & b")).content.decode()
    assert "refused from then on" in asked and ApiToken.objects.exists()
    assert "is withdrawn" in client.post(withdrawal("a & b"), follow=True).content.decode()
    assert APIClient(headers={"Authorization": f"Bearer {secret}"}).get("/api/v1/fleets/").status_code == 401


def test_another_page_cannot_have_a_token_made(viewer):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(viewer)
    assert make(strict, reads=["devices"]).status_code == 403
    assert not ApiToken.objects.exists()


def test_the_page_says_for_which_fleets_a_token_speaks(client, boss, db):
    fleet = factories.fleet()
    of_one = with_role("viewer", all_fleets=False)
    client.force_login(of_one)
    assert "none yet" in client.get(PAGE).content.decode()
    of_one.fleet_memberships.create(fleet=fleet)
    assert fleet.name in client.get(PAGE).content.decode()
    client.force_login(boss)
    assert "all fleets, as you see them" in client.get(PAGE).content.decode()


def test_who_has_no_permission_is_told_who_can_give_one(client, db):
    client.force_login(User.objects.create_user("new", is_staff=True))
    page = client.get(PAGE)
    assert "Your roles open nothing" in page.content.decode()
    assert make(client, reads=["devices"]).status_code == 200 and not ApiToken.objects.exists()


def test_the_list_costs_the_same_for_one_token_and_for_many(client, viewer):
    client.force_login(viewer)

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get(PAGE)
        return len(queries)

    make(client, reads=["devices"])
    one = cost()
    for number in range(5):
        make(client, name=f"line {number}", reads=["devices"])
    assert cost() == one


def test_the_pages_and_the_documentation_are_in_the_menu_of_the_own_name(page):
    text = page(reverse("admin:index"))
    assert f'href="{PAGE}"' in text and 'href="/api/docs/"' in text
