"""Asking the portal as one person, without a browser's work: for tests that send requests by the thousand.

A session and its user would be read for each request, and the test's own client takes as long as a small view.
"""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.handlers.base import BaseHandler
from django.test import RequestFactory

from certportal.models import User

# Says who asks, which `Portal` does. Leave it out of the settings while one is made.
BY_SESSION = "django.contrib.auth.middleware.AuthenticationMiddleware"
_REQUESTS = RequestFactory()


class Portal:
    """The portal of a person, or of nobody (None), with the middleware that the settings name when it is made."""

    def __init__(self, user: User | None) -> None:
        self._user = user or AnonymousUser()
        self._handler = BaseHandler()
        self._handler.load_middleware()

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """Return the response to a request; `options` as the test's client takes them. No form is a stranger's."""
        request: Any = getattr(_REQUESTS, method.lower())(path, **options)
        request.user = self._user
        request._dont_enforce_csrf_checks = True
        return self._handler.get_response(request)
