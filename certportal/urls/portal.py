"""Addresses of the portal plane."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from certportal import probes
from renewal.callbacks import twilio_receipt

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/", include("certportal.api.urls")),
    path("field/", include("renewal.phone.urls")),
    path("receipts/twilio/<int:pk>/", twilio_receipt, name="twilio-receipt"),
    path("healthz", probes.healthz),
    path("readyz", probes.readyz),
]

handler400 = "certportal.api.errors.bad_request"
handler403 = "certportal.error_pages.forbidden"
handler404 = "certportal.error_pages.not_found"
handler500 = "certportal.api.errors.server_error"
