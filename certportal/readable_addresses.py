"""Addresses with a NUL character: PostgreSQL holds no such text, and each filter would fail by itself."""

from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponseBase


class ReadableAddresses:
    """Answers 404 to a page of the admin whose address holds a NUL. The API tells it of the parameter itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_view(self, request: HttpRequest, *_view: object) -> None:
        """Raises Http404."""
        raw = request.META.get("QUERY_STRING", "")
        of_the_admin = request.resolver_match is not None and "admin" in request.resolver_match.namespaces
        if of_the_admin and ("\0" in request.path or "%00" in raw or "\0" in raw):
            raise Http404
