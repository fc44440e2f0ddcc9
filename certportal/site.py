"""The admin site of the portal."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _


class CertportalAdminSite(admin.AdminSite):
    site_header = site_title = "certportal"
    index_title = _("Dashboard")
