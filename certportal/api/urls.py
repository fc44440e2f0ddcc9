"""Addresses below `/api/`."""

from collections.abc import Mapping
from typing import Any

from csp.decorators import csp_update
from django.urls import include, path, re_path
from django.views.decorators.gzip import gzip_page
from rest_framework.routers import DefaultRouter

from certportal.api.documentation import DocumentationView, SchemaView
from certportal.api.errors import unknown_address
from certportal.api.idempotency import asked_once
from certportal.api.saved_filters import SavedFilterViewSet
from inventory.api.alert_settings import AlertPolicyViewSet, MuteViewSet, RecipientViewSet
from inventory.api.alerts import AlertViewSet
from inventory.api.approvals import ApprovalViewSet
from inventory.api.audit_events import AuditEventViewSet
from inventory.api.cases import CaseViewSet
from inventory.api.certificates import CertificateViewSet
from inventory.api.configuration import AuthorityViewSet, FleetViewSet, ProfileViewSet
from inventory.api.devices import DeviceViewSet
from inventory.api.expiry import ExpiryViewSet
from inventory.api.groups import BatchViewSet, SiteViewSet
from inventory.api.imports import ColumnMappingViewSet, ImportViewSet
from inventory.api.sightings import SightingViewSet
from renewal.api.campaigns import CampaignViewSet, TargetViewSet
from renewal.api.enrolment_secrets import EnrolmentSecretViewSet
from renewal.api.enrolments import EnrolmentViewSet
from renewal.api.field import DeviceNoteViewSet, TeamViewSet, WorkOrderViewSet
from renewal.api.gateways import GatewayViewSet, ReceiptViewSet
from revocation.api import CrlViewSet

# Swagger UI writes style attributes and holds its icons in data: addresses. Scripts stay as strict as elsewhere.
_SWAGGER_POLICY = {"style-src": ["'unsafe-inline'"], "img-src": ["data:"]}


class Router(DefaultRouter):
    """PATCH of a list changes many of its objects, where a resource can do that."""

    def get_method_map(self, viewset: Any, method_map: Mapping[str, str]) -> dict[str, str]:
        methods = dict(method_map)
        if methods.get("post") == "create":
            methods["patch"] = "partial_update_many"
        return super().get_method_map(viewset, methods)


router = Router()
router.include_format_suffixes = False
for viewset in (
    FleetViewSet,
    SiteViewSet,
    BatchViewSet,
    DeviceViewSet,
    CertificateViewSet,
    ExpiryViewSet,
    ProfileViewSet,
    AuthorityViewSet,
    ImportViewSet,
    ColumnMappingViewSet,
    EnrolmentViewSet,
    EnrolmentSecretViewSet,
    SightingViewSet,
    CampaignViewSet,
    WorkOrderViewSet,
    TeamViewSet,
    DeviceNoteViewSet,
    GatewayViewSet,
    ReceiptViewSet,
    CrlViewSet,
    AlertViewSet,
    AlertPolicyViewSet,
    RecipientViewSet,
    MuteViewSet,
    SavedFilterViewSet,
    CaseViewSet,
    ApprovalViewSet,
    AuditEventViewSet,
):
    router.register(viewset.resource, asked_once(viewset), basename=viewset.resource)
router.register(r"campaigns/(?P<campaign_id>[0-9]+)/targets", TargetViewSet, basename="campaign-targets")

urlpatterns = [
    path("v1/", include((router.urls, "api"))),
    # Half a megabyte, a sixteenth of it compressed; the same for all, so its length tells nothing.
    path("schema/", gzip_page(SchemaView.as_view()), name="api-schema"),
    path("docs/", csp_update(_SWAGGER_POLICY)(DocumentationView.as_view()), name="api-docs"),
    # No pattern of characters: a dot would let an address with a line break through to the pages for people.
    re_path("", unknown_address),
]
