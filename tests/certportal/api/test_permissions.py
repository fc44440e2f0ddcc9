"""What a token may do is what its user may do and what its scopes say: never one without the other."""

import pytest
from django.urls import reverse
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.viewsets import GenericViewSet

from certportal.api import scopes
from certportal.api.scopes import Resource, UnknownScope
from certportal.api.tokens import create_token
from certportal.api.urls import router
from inventory.audit.record import SYSTEM
from inventory.models import Device
from tests.certportal.api.conftest import user
from tests.factories import NOW


@pytest.mark.parametrize(
    ("held", "method", "resource", "lacking"),
    [
        ([], "GET", "devices", None),
        ([], "HEAD", "devices", None),
        ([], "POST", "devices", "devices:write"),
        (["devices"], "GET", "devices", None),
        (["devices"], "OPTIONS", "devices", None),
        (["devices"], "GET", "certificates", "certificates"),
        (["devices"], "POST", "devices", "devices:write"),
        (["devices"], "DELETE", "devices", "devices:write"),
        (["devices:write"], "GET", "devices", None),
        (["devices:write"], "PATCH", "devices", None),
        (["devices:write"], "POST", "certificates", "certificates:write"),
        (["devices:write"], "GET", "certificates", "certificates"),
        (["certificates", "devices:write"], "GET", "certificates", None),
        (["device"], "GET", "devices", "devices"),
    ],
)
def test_scopes(held, method, resource, lacking):
    assert scopes.missing(held, resource, method) == lacking


@pytest.mark.parametrize("scope", ["", "device", "devices:read", "devices:write:write", ":write", "DEVICES", "*"])
def test_a_scope_outside_the_vocabulary_is_refused_with_the_vocabulary(scope):
    with pytest.raises(UnknownScope, match="resources are fleets, devices, certificates"):
        scopes.checked([scope])


def test_scopes_are_kept_once_and_in_order():
    assert scopes.checked(["devices", "crls:write", "devices"]) == ["crls:write", "devices"]


def test_every_address_belongs_to_a_resource_that_a_scope_can_name():
    assert {getattr(viewset, "resource", None) for _, viewset, _ in router.registry} == set(Resource.values)


def test_every_resource_is_refused_to_a_user_without_its_permission(client_for):
    client = client_for(permissions="add_")
    for prefix in [prefix for prefix, viewset, _ in router.registry if hasattr(viewset, "list")]:
        answer = client.get(f"/api/v1/{prefix.replace('(?P<campaign_id>[0-9]+)', '1')}/")
        assert answer.status_code == 403, prefix
        assert "lacks the permission" in answer.json()["error"]["message"]
        assert ".view_" in answer.json()["error"]["message"]


def test_every_resource_opens_to_its_scope_and_to_no_other(client_for):
    # These are sent and not listed.
    sent = {Resource.RECEIPTS, Resource.ENROLMENTS, Resource.ENROLMENT_SECRETS}
    lists = {resource: f"/api/v1/{resource}/" for resource in Resource.values if resource not in sent}
    for scope in lists:
        client = client_for(scope, name=scope)
        answers = {resource: client.get(address).status_code for resource, address in lists.items()}
        assert answers == {resource: 200 if resource == scope else 403 for resource in lists}


def test_a_refusal_names_the_scope_that_is_missing_and_those_held(client_for):
    answer = client_for("devices").get("/api/v1/certificates/")
    assert answer.json()["error"]["code"] == "permission_denied"
    assert "lacks the scope certificates (it has: devices)" in answer.json()["error"]["message"]


def test_targets_are_under_the_scope_of_campaigns(client_for):
    assert client_for("devices").get("/api/v1/campaigns/1/targets/").status_code == 403
    assert client_for("campaigns", name="other").get("/api/v1/campaigns/1/targets/").status_code == 404


def test_the_list_of_addresses_is_for_whoever_logged_in(client_for, client):
    assert client_for("devices").get("/api/v1/").status_code == 200
    assert client.get("/api/v1/").status_code == 401


class WritingViewSet(GenericViewSet[Device]):
    """Stands for the resources that will be written to."""

    resource = "devices"
    queryset = Device.objects.all()

    def create(self, request):
        return Response(status=201)


@pytest.mark.parametrize(
    ("held", "permissions", "status"),
    [
        (["devices:write"], "add_", 201),
        (["devices:write"], "view_", 403),
        (["devices"], "add_", 403),
        ([], "add_", 403),
    ],
)
@pytest.mark.django_db
def test_writing_needs_the_scope_and_the_permission(held, permissions, status):
    owner = user(permissions=permissions)
    _, secret = create_token(owner, name="test", scopes=held, lifetime=None, now=NOW, actor=SYSTEM)
    request = APIRequestFactory().post("/", headers={"Authorization": f"Bearer {secret}"})
    assert WritingViewSet.as_view({"post": "create"})(request).status_code == status


def test_a_session_needs_no_scope(db, client):
    client.force_login(user())
    assert client.get(reverse("api:devices-list")).status_code == 200
