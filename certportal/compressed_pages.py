"""Pages are sent compressed: a map of a large fleet is a thousand links that differ in a few characters."""

from django.http import HttpRequest, HttpResponseBase
from django.middleware.gzip import GZipMiddleware


class CompressedPages(GZipMiddleware):
    """Compresses HTML for who accepts it, with the random padding by which Django answers BREACH.

    Nothing else: exports would cost their worker a core, and the API's ETags would be weak, so that no `If-Match` held.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not response.get("Content-Type", "").startswith("text/html"):
            return response
        compressed: HttpResponseBase = super().process_response(request, response)
        return compressed
