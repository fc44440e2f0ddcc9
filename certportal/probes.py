"""Probes for load balancers and supervisors: `/healthz` says that the process answers, `/readyz` that it can serve."""

from django.http import HttpRequest, HttpResponse

from certportal.health import ready


def healthz(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(_request: HttpRequest) -> HttpResponse:
    missing = ready()
    if missing:
        return HttpResponse(f"unreachable: {', '.join(missing)}\n", content_type="text/plain", status=503)
    return HttpResponse("ready\n", content_type="text/plain")
