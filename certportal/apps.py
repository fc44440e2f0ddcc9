from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.utils.translation import gettext_lazy as _


class CertportalConfig(AppConfig):
    name = "certportal"
    verbose_name = _("Access")

    def ready(self) -> None:
        from certportal import access, request_log  # noqa: F401  connect the signals of logins and of requests


class CertportalAdminConfig(AdminConfig):
    """The admin of Django with our own site in place of its default one."""

    default_site = "certportal.site.CertportalAdminSite"
