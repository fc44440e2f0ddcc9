"""Addresses below `/api/`."""

from typing import Any

from csp.decorators import csp_update
from django.urls import include, path, re_path
from rest_framework.routers import DefaultRouter

from certportal.api.conditional import conditional
from certportal.api.documentation import DocumentationView, SchemaView
from certportal.api.errors import unknown_address
from certportal.api.idempotency import asked_once
from certportal.api.trimming import trimmed
from inventory.alerts.api import AlertViewSet
from inventory.api import (
    AuditEventViewSet,
    AuthorityViewSet,
    CertificateViewSet,
    FleetViewSet,
    ProfileViewSet,
)
from inventory.api_devices import DeviceViewSet
from inventory.api_expiry import ExpiryViewSet
from inventory.api_sightings import SightingViewSet
from renewal.api import CampaignViewSet, TargetViewSet
from revocation.api import CrlViewSet

# Swagger UI writes style attributes and holds its icons in data: addresses. Scripts stay as strict as elsewhere.
_SWAGGER_POLICY = {"style-src": ["'unsafe-inline'"], "img-src": ["data:"]}


class Router(DefaultRouter):
    """A list takes PATCH too: many objects changed in one request."""

    def get_routes(self, viewset: Any) -> Any:
        return [
            route._replace(mapping={**route.mapping, "patch": "partial_update_many"})
            if route.name == "{basename}-list"
            else route
            for route in super().get_routes(viewset)
        ]


router = Router()
router.include_format_suffixes = False
for viewset in (
    FleetViewSet,
    DeviceViewSet,
    CertificateViewSet,
    ProfileViewSet,
    AuthorityViewSet,
    SightingViewSet,
    ExpiryViewSet,
    CampaignViewSet,
    CrlViewSet,
    AlertViewSet,
    AuditEventViewSet,
):
    router.register(viewset.resource, conditional(trimmed(asked_once(viewset))), basename=viewset.resource)
router.register(r"campaigns/(?P<campaign_id>[0-9]+)/targets", trimmed(TargetViewSet), basename="campaign-targets")

urlpatterns = [
    path("v1/", include((router.urls, "api"))),
    path("schema/", SchemaView.as_view(), name="api-schema"),
    path("docs/", csp_update(_SWAGGER_POLICY)(DocumentationView.as_view()), name="api-docs"),
    # No pattern of characters: a dot would let an address with a line break through to the pages for people.
    re_path("", unknown_address),
]
