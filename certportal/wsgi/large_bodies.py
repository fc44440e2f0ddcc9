"""Who may send the portal more than a form: people and programs that are known, and may do what they ask for.

Asked of the headers alone, before the body is read. Django would ask the same only after it has kept the body.
"""

import http
import io
import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.core.handlers.wsgi import WSGIRequest
from django.db import DatabaseError, close_old_connections
from django.urls import Resolver404, ResolverMatch, resolve
from rest_framework.exceptions import APIException
from rest_framework.views import APIView

from certportal.api import errors
from certportal.disk import RESERVE
from certportal.wsgi.body import BodyRefused, Environ, LargeBody

# 20 MiB over a line of half a megabit.
_SECONDS = 300.0


def allowance(environ: Environ) -> LargeBody:
    """Return what the sender of these headers may send; raise `BodyRefused` for who may send nothing large here."""
    request = _headers_of(environ)
    try:
        match = resolve(request.path_info)
        largest = _of_api(request, match) if _is_api(match.func) else _of_admin(request, match.func)
    except Resolver404:
        raise BodyRefused("404 Not Found", f"There is nothing at {request.path}.", "not_found") from None
    except DatabaseError:
        text = "The database does not answer; try again in 10 seconds."
        raise BodyRefused("503 Service Unavailable", text, "database_unavailable") from None
    finally:
        # No request of Django's was begun, at whose end it would give the connection back.
        close_old_connections()
    return LargeBody(largest, _SECONDS, Path(settings.HOME) / "spool", RESERVE)


def render(environ: Environ, refusal: BodyRefused) -> tuple[str, bytes]:
    """Answer in the shape of the API where the API was asked, else in one line."""
    if not environ.get("PATH_INFO", "").startswith("/api/"):
        return "text/plain; charset=utf-8", f"{refusal}\n".encode()
    answer = errors.response(int(refusal.status.split()[0]), refusal.code, str(refusal))
    return answer["Content-Type"], answer.content


def _headers_of(environ: Environ) -> WSGIRequest:
    """Return the request without its body: who looks for a CSRF token there finds it in the header only."""
    bare = {name: value for name, value in environ.items() if name != "HTTP_TRANSFER_ENCODING"}
    return WSGIRequest({**bare, "CONTENT_LENGTH": "0", "wsgi.input": io.BytesIO()})


def _is_api(view: Callable[..., Any]) -> bool:
    return issubclass(getattr(view, "cls", object), APIView)


def _of_api(request: WSGIRequest, match: ResolverMatch) -> int:
    """Ask the view as REST framework would before it reads a body."""
    made: Any = match.func
    view = made.cls(**made.initkwargs)
    view.action_map = getattr(made, "actions", {})
    view.args, view.kwargs, view.headers = match.args, match.kwargs, {}
    asked = view.request = view.initialize_request(request)
    try:
        view.perform_authentication(asked)
        view.check_permissions(asked)
    except APIException as refusal:
        answer = errors.handle(refusal, {"request": asked, "view": view})
        assert answer is not None  # an APIException always has one
        said = json.loads(answer.content)["error"]
        raise BodyRefused(_status(answer.status_code), said["message"], said["code"]) from refusal
    return int(getattr(view, "most_bytes", settings.DATA_UPLOAD_MAX_MEMORY_SIZE))


def _of_admin(request: WSGIRequest, view: Callable[..., Any]) -> int:
    """Ask who is logged in; a page that takes files says how large, and whose (`inventory.admin.uploading`)."""
    session_engine = import_module(settings.SESSION_ENGINE)
    request.session = session_engine.SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    user = auth.get_user(request)
    most, permission = getattr(view, "takes_upload", (settings.DATA_UPLOAD_MAX_MEMORY_SIZE, None))
    if not (user.is_active and getattr(user, "is_staff", False)):
        text = "Only who is logged in may send this much. Log in, then send it again."
        raise BodyRefused("403 Forbidden", text, "not_authenticated")
    if permission and not user.has_perm(permission):
        raise BodyRefused("403 Forbidden", f"User {user} lacks the permission {permission}.", "permission_denied")
    return int(most)


def _status(code: int) -> str:
    return f"{code} {http.HTTPStatus(code).phrase}"
