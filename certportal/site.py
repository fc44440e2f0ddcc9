"""The admin site of the portal: its index is the dashboard, its header leads everywhere."""

from dataclasses import dataclass, replace
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# Address name, its arguments, the permission to see it, and the word in the header.
_NAVIGATION = (
    ("inventory_device_changelist", (), "inventory.view_device", _("Devices")),
    ("inventory_certificate_changelist", (), "inventory.view_certificate", _("Certificates")),
    ("renewal_campaign_changelist", (), "renewal.view_campaign", _("Campaigns")),
    ("revocation_crl_changelist", (), "revocation.view_crl", _("CRLs")),
    ("inventory_auditevent_changelist", (), "inventory.view_auditevent", _("Audit log")),
    ("app_list", ("inventory",), "inventory.change_fleet", _("Configuration")),
    ("app_list", ("certportal",), "certportal.view_user", _("Access")),
)


@dataclass(frozen=True)
class Page:
    """A link of the header."""

    url: str
    word: str | Promise
    here: bool = False


class CertportalAdminSite(admin.AdminSite):
    site_header = site_title = "certportal"
    index_title = _("Dashboard")
    site_url = None
    enable_nav_sidebar = False

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from certportal.access import LoginForm

        self.login_form = LoginForm
        return super().login(request, extra_context)

    def get_urls(self) -> list[Any]:
        # Imported here: the site is made while the models, which those pages need, are still being loaded.
        from certportal.dashboard import views
        from revocation.admin.revoking import revoke_view

        def revoke(request: HttpRequest, pk: int) -> HttpResponse:
            return revoke_view(request, pk, self)

        own: list[URLPattern] = [
            path("search/", self.admin_view(views.search), name="search"),
            path("dashboard/<slug:name>/", self.admin_view(views.block), name="dashboard_block"),
            path("inventory/certificate/<int:pk>/revoke/", self.admin_view(revoke), name="revoke_certificate"),
        ]
        return [*own, *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from certportal.dashboard import views

        request.current_app = self.name  # as AdminSite.index does
        return views.index(request, self)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context = super().each_context(request)
        if context["has_permission"]:
            context["navigation"] = self._navigation(request)
            context["fleets"] = _fleets()
            context["chosen_fleet"] = request.GET.get("fleet", "")
        return context

    def _navigation(self, request: HttpRequest) -> list[Page]:
        """Return the pages of the header that the person may see."""
        pages = []
        for name, arguments, permission, word in _NAVIGATION:
            if not request.user.has_perm(permission):
                continue
            try:
                url = reverse(f"admin:{name}", args=arguments)
            except NoReverseMatch:  # nothing of that app is registered
                continue
            pages.append(Page(url, word))
        # The list of devices lies below the pages of the inventory: the longest address is where one is.
        here = max((page.url for page in pages if request.path.startswith(page.url)), key=len, default=None)
        return [replace(page, here=page.url == here) for page in pages]


def _fleets() -> list[tuple[str, str]]:
    from inventory.models import Fleet

    return [(str(pk), name) for pk, name in Fleet.objects.values_list("id", "name")[:200]]
