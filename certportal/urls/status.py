"""Addresses of the status plane. What a name may be is said here, so nothing else can reach the file system."""

from django.urls import URLPattern, URLResolver, path, re_path

from renewal.protocols.scep.views import scep
from revocation import views

_SLUG = "[-a-zA-Z0-9_]{1,50}"
_SCOPE = "all|0|[1-9][0-9]{0,4}"

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", views.healthz),
    re_path(rf"^crl/(?P<authority>{_SLUG})/(?P<scope>{_SCOPE})\.crl$", views.crl),
    # Clients append the request to the address with a slash or without, so there may be none, one or two.
    re_path(rf"^ocsp/(?P<authority>{_SLUG})(?:/(?P<encoded>.*))?$", views.ocsp_status),
    re_path(rf"^ca/(?P<authority>{_SLUG})\.cer$", views.issuer_certificate),
    # Old clients end the address as the first SCEP server did.
    re_path(rf"^scep(?:/(?P<label>{_SLUG}))?(?:/|/pkiclient\.exe)?$", scep),
    re_path(rf"^bundle/(?P<name>{_SLUG})\.pem$", views.trust_bundle),
]

handler404 = views.not_found
handler500 = views.failed
