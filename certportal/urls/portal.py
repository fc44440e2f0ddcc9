"""Addresses of the portal plane."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, path

from certportal import probes

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("healthz", probes.healthz),
    path("readyz", probes.readyz),
]
