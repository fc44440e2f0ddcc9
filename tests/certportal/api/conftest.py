from collections.abc import Callable, Iterable

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.test import APIClient

from certportal.api.tokens import create_token
from certportal.models import User
from inventory.audit.record import SYSTEM
from inventory.models import Fleet, FleetMembership
from tests import factories


@pytest.fixture(autouse=True)
def _uncounted() -> None:
    """Each test begins with no request counted."""
    cache.clear()


def user(name: str = "reader", permissions: str = "view_") -> User:
    """A user with every permission whose code begins with `permissions`."""
    made = User.objects.create_user(name, all_fleets=True)
    made.user_permissions.set(Permission.objects.filter(codename__startswith=permissions))
    return made


def client_with(secret: str) -> APIClient:
    return APIClient(headers={"Authorization": f"Bearer {secret}"})


@pytest.fixture
def client_for(db) -> Callable[..., APIClient]:
    """Make a client with a new token of a new user who may read everything, narrowed to `scopes`."""

    def make(*scopes: str, permissions: str = "view_", name: str = "reader") -> APIClient:
        owner = user(name, permissions)
        _, secret = create_token(owner, name="test", scopes=scopes, lifetime=None, now=timezone.now(), actor=SYSTEM)
        return client_with(secret)

    return make


@pytest.fixture
def reader(client_for):
    """A client that may read everything."""
    return client_for()


@pytest.fixture
def speaking(client, db) -> Callable[..., HttpResponse]:
    """Post as a service account that speaks for the devices of all fleets, or of those that are named."""

    def post(address: str, body: object, fleets: Iterable[Fleet] | None = None, **headers: str) -> HttpResponse:
        factories.person("backend", "add_enrolmentsecret", is_staff=True, all_fleets=fleets is None)
        account = User.objects.get(username="backend")
        for fleet in fleets or ():
            FleetMembership.objects.get_or_create(user=account, fleet=fleet)
        client.force_login(account)
        answer: HttpResponse = client.post(address, body, content_type="application/json", headers=headers)
        return answer

    return post
