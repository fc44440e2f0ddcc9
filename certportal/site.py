"""The admin site of the portal: its index is the dashboard, its header leads everywhere."""

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import Promise, SimpleLazyObject
from django.utils.translation import gettext_lazy as _

# Address name, its arguments, the permission to see it (None: everybody of the staff), and the word in the header.
_NAVIGATION = (
    ("inventory_device_changelist", (), "inventory.view_device", _("Devices")),
    ("inventory_certificate_changelist", (), "inventory.view_certificate", _("Certificates")),
    ("inventory_alert_changelist", (), "inventory.view_alert", _("Alerts")),
    ("renewal_campaign_changelist", (), "renewal.view_campaign", _("Campaigns")),
    ("renewal_workorder_changelist", (), "renewal.view_workorder", _("Field")),
    ("revocation_crl_changelist", (), "revocation.view_crl", _("CRLs")),
    ("inventory_auditevent_changelist", (), "inventory.view_auditevent", _("Audit log")),
    # Each shows what the person may see of it.
    ("work", (), None, _("Work")),
    ("configuration", (), None, _("Configuration")),
)
# What of an address means nothing in another fleet: its groups, the page of a list, the complaint about a filter.
_OF_ONE_FLEET = {"fleet", "site", "batch", "p", "e", "cursor", "count"}


@dataclass(frozen=True)
class Page:
    """A link of the header."""

    url: str
    word: str | Promise
    here: bool = False


@dataclass(frozen=True)
class FleetChoice:
    """Where the header's choice of a fleet leads: the page one is on, when it can be narrowed to a fleet."""

    url: str
    kept: list[tuple[str, str]]
    """What stays in the address beside the fleet."""
    chosen: str


class CertportalAdminSite(admin.AdminSite):
    site_header = site_title = "certportal"
    index_title = _("Dashboard")
    site_url = None
    enable_nav_sidebar = False

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from certportal.access import LoginForm, remember_device

        self.login_form = LoginForm
        response = super().login(request, extra_context)
        if request.method == "POST" and request.user.is_authenticated and response.status_code == HTTPStatus.FOUND:
            remember_device(request, response)
        return response

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Let people set their own password, which the audit log tells."""
        from certportal.credentials import recorded_password
        from inventory.admin.audited import actor_of

        assert request.user.pk is not None  # `admin_view` lets nobody else in
        with recorded_password(request.user.pk, now=timezone.now(), actor=actor_of(request)):
            return super().password_change(request, extra_context)

    def get_urls(self) -> list[Any]:
        # Imported here: the site is made while the models, which those pages need, are still being loaded.
        from certportal import own_tokens, saved_filters
        from certportal.dashboard import ends, jitter, views
        from certportal.handbook import views as handbook
        from revocation.admin.revoking import revoke_view

        def revoke(request: HttpRequest, pk: int) -> HttpResponse:
            return revoke_view(request, pk, self)

        def planner(request: HttpRequest, pk: int) -> HttpResponse:
            return jitter.planner(request, pk, self, timezone.now())

        def work(request: HttpRequest) -> HttpResponse:
            return views.work(request, self, timezone.now())

        def contents(request: HttpRequest) -> HttpResponse:
            return handbook.contents(request, self)

        def handbook_page(request: HttpRequest, page: str) -> HttpResponse:
            return handbook.page(request, page, self)

        def keep(request: HttpRequest) -> HttpResponse:
            return saved_filters.keep(request, timezone.now())

        def tokens(request: HttpRequest) -> HttpResponse:
            return own_tokens.page(request, self, timezone.now())

        def withdraw(request: HttpRequest) -> HttpResponse:
            return own_tokens.revoke(request, self, timezone.now())

        own: list[URLPattern] = [
            path("tokens/", self.admin_view(tokens), name="own_tokens"),
            path("tokens/withdraw/", self.admin_view(withdraw), name="own_token_revoke"),
            path("inventory/profile/<int:pk>/jitter/", self.admin_view(planner), name="profile_jitter"),
            path("work/", self.admin_view(work), name="work"),
            path("configuration/", self.admin_view(self.configuration), name="configuration"),
            path("handbook/", self.admin_view(contents), name="handbook"),
            path("handbook/images/<str:picture>", self.admin_view(handbook.image), name="handbook_picture"),
            path("handbook/<path:page>/", self.admin_view(handbook_page), name="handbook_page"),
            path("search/", self.admin_view(views.search), name="search"),
            path("saved-filters/keep/", self.admin_view(keep), name="saved_filter_keep"),
            path("saved-filters/<int:pk>/", self.admin_view(saved_filters.open_), name="saved_filter"),
            path("saved-filters/<int:pk>/forget/", self.admin_view(saved_filters.forget), name="saved_filter_forget"),
            path("ends/<slug:period>/", self.admin_view(ends.show), name="ends"),
            path("ends/<slug:axis>/<slug:row>/<slug:period>/", self.admin_view(ends.show), name="ends_of_row"),
            path("dashboard/<slug:name>/", self.admin_view(views.block), name="dashboard_block"),
            path("inventory/certificate/<int:pk>/revoke/", self.admin_view(revoke), name="revoke_certificate"),
        ]
        # No row of ours has an address of its own that the admin's `r/TYPE/ID/` could lead to: it only finds errors.
        return [*own, *(pattern for pattern in super().get_urls() if getattr(pattern, "name", "") != "view_on_site")]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from certportal.dashboard import views

        request.current_app = self.name  # as AdminSite.index does
        return views.index(request, self)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the models that somebody may open, found when first asked for: every page gets them, few show them."""
        find = super().get_app_list
        return cast(list[Any], SimpleLazyObject(lambda: find(request, app_label)))

    def configuration(self, request: HttpRequest) -> HttpResponse:
        """Show the lists of what is set once, as far as the person may see them."""
        from certportal.configuration import in_sections

        sections = list(in_sections(self.get_app_list(request)))
        context = {**self.each_context(request), "title": _("Configuration"), "sections": sections}
        return TemplateResponse(request, "admin/configuration.html", context)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        from certportal.handbook.help import of_address

        context = super().each_context(request)
        if context["has_permission"]:
            context["help"] = of_address(getattr(request.resolver_match, "url_name", None) or "")
            context["navigation"] = self._navigation(request)
            context["fleets"] = _fleets(request)
            context["fleet_choice"] = self._fleet_choice(request)
        return context

    def _fleet_choice(self, request: HttpRequest) -> FleetChoice:
        """Stay on the dashboard or on a list with a filter of fleets; from anywhere else go to the dashboard."""
        chosen = request.GET.get("fleet", "")
        match = request.resolver_match
        if match is None or not (match.url_name == "index" or self._has_fleet_filter(match.url_name or "")):
            return FleetChoice(reverse("admin:index"), [], chosen)
        kept = [(key, str(value)) for key, value in request.GET.items() if key not in _OF_ONE_FLEET and value]
        return FleetChoice(request.path, kept, chosen)

    def _has_fleet_filter(self, url_name: str) -> bool:
        for model, pages in self._registry.items():
            if url_name == f"{model._meta.app_label}_{model._meta.model_name}_changelist":
                return any(getattr(each, "parameter_name", "") == "fleet" for each in pages.list_filter)
        return False

    def _navigation(self, request: HttpRequest) -> list[Page]:
        """Return the pages of the header that the person may see."""
        pages = []
        for name, arguments, permission, word in _NAVIGATION:
            if permission is not None and not request.user.has_perm(permission):
                continue
            try:
                url = reverse(f"admin:{name}", args=arguments)
            except NoReverseMatch:  # nothing of that app is registered
                continue
            pages.append(Page(url, word))
        # The list of devices lies below the pages of the inventory: the longest address is where one is.
        here = max((page.url for page in pages if request.path.startswith(page.url)), key=len, default=None)
        return [replace(page, here=page.url == here) for page in pages]


def _fleets(request: HttpRequest) -> list[tuple[str, str]]:
    from inventory.models import Fleet

    seen = Fleet.objects.visible_to(request.user)
    return [(str(pk), name) for pk, name in seen.values_list("id", "name")[:200]]
