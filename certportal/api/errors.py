"""One shape for every error of the API, whoever found it.

`{"error": {"code": "…", "message": "fact, limit, next step", "details": {…}}}`; `code` is for programs and stays,
`message` is for people and may change, `details` names the parameters or fields at fault.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import Resolver404, resolve
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.views import exception_handler

from certportal.api.throttling import count_refused

_Context = dict[str, Any]


def response(
    status: int, code: str, message: str, details: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> JsonResponse:
    """Return an error as JSON, whatever the client said that it accepts."""
    body = {"error": {"code": code, "message": message, "details": details or {}}}
    return JsonResponse(body, status=status, headers=headers)


def handle(exc: Exception, context: _Context) -> JsonResponse | None:
    """Translate what a view raised. None, and so Django's own error handling, for what is our fault."""
    try:
        count_refused(context["request"])
    except exceptions.APIException as limit:
        exc = limit
    answer = exception_handler(exc, context)
    if answer is None:
        return None
    code, message = _described(exc, context)
    details = answer.data if isinstance(exc, exceptions.ValidationError) else None
    if isinstance(details, list):
        details = {"non_field_errors": details}
    headers = {name: answer[name] for name in ("WWW-Authenticate", "Retry-After") if name in answer}
    return response(answer.status_code, code, message, details, headers)


def _described(exc: Exception, context: _Context) -> tuple[str, str]:
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    elif isinstance(exc, DjangoPermissionDenied):
        exc = exceptions.PermissionDenied()
    describe = next((text for kind, text in _MESSAGES if isinstance(exc, kind)), None)
    code = getattr(exc, "default_code", "error")
    return code, describe(exc, context) if describe else str(getattr(exc, "detail", exc))


def _invalid(exc: Any, context: _Context) -> str:
    names = ", ".join(exc.detail) if isinstance(exc.detail, dict) else ""
    at_fault = f": {names}" if names else ""
    return f"The request was refused and nothing was done{at_fault}. The details say what each needs."


def _not_authenticated(exc: Any, context: _Context) -> str:
    return (
        "This address needs a login. Send the header 'Authorization: Bearer TOKEN'; "
        "a person makes one on the page API tokens, a server by the command api_token."
    )


def _not_found(exc: Any, context: _Context) -> str:
    return f"There is nothing at {context['request'].path}. The list above this address shows what there is."


def _method(exc: Any, context: _Context) -> str:
    allowed = ", ".join(context["view"].allowed_methods)
    return f"{context['request'].method} is not answered at this address. It answers {allowed}."


def _not_acceptable(exc: Any, context: _Context) -> str:
    offered = ", ".join(dict.fromkeys(renderer.media_type for renderer in context["view"].get_renderers()))
    return f"This address cannot answer with the media types of the Accept header. It offers {offered}."


def _media_type(exc: Any, context: _Context) -> str:
    read = ", ".join(parser.media_type for parser in context["view"].get_parsers())
    return f"The media type of the body is not read here. This address reads {read}."


_MESSAGES: list[tuple[type[Exception], Callable[[Any, _Context], str]]] = [
    (exceptions.ValidationError, _invalid),
    (exceptions.NotAuthenticated, _not_authenticated),
    (exceptions.NotFound, _not_found),
    (exceptions.MethodNotAllowed, _method),
    (exceptions.NotAcceptable, _not_acceptable),
    (exceptions.UnsupportedMediaType, _media_type),
]


# A stranger's POST gets the same answer as a GET, and no page of Django's about cookies.
@csrf_exempt
def unknown_address(request: HttpRequest) -> HttpResponse:
    """Answer any address under `/api/` that nothing else answers."""
    message = f"The API has no address {request.path}. /api/docs/ lists the addresses."
    if _answered(f"{request.path}/"):
        message = f"The API has no address {request.path}. It ends with a slash: {request.path}/"
    return response(HTTPStatus.NOT_FOUND, "not_found", message)


def _answered(path: str) -> bool:
    try:
        return resolve(path).func is not unknown_address
    except Resolver404:
        return False


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's `handler400`: what was refused before a view saw it."""
    if not request.path.startswith("/api/"):
        return defaults.bad_request(request, exception)
    return response(HTTPStatus.BAD_REQUEST, "bad_request", "The request is not well-formed and was not read further.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`: a fault of ours. The log line with the same request id has the cause."""
    if not request.path.startswith("/api/"):
        return defaults.server_error(request)
    message = "The portal failed at this request; it was logged. Tell an administrator the time and the address."
    return response(HTTPStatus.INTERNAL_SERVER_ERROR, "server_error", message)
