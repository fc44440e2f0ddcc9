"""Addresses of the device plane: EST, and nothing else."""

from django.urls import URLPattern, URLResolver, path

from renewal.protocols.est import views as est

_OPERATIONS = {
    "cacerts": est.cacerts,
    "csrattrs": est.csrattrs,
    "simpleenroll": est.simpleenroll,
    "simplereenroll": est.simplereenroll,
}

urlpatterns: list[URLPattern | URLResolver] = [
    path(prefix + operation, view)
    for operation, view in _OPERATIONS.items()
    # RFC 7030 3.2.2 puts the label behind `est`; strongSwan 5.9.8 can only put a prefix before `.well-known`.
    for prefix in (".well-known/est/", ".well-known/est/<str:label>/", "<slug:label>/.well-known/est/")
]

handler404 = est.not_found
handler500 = est.failed
