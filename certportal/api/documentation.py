"""The OpenAPI description of the API, and its pages for people."""

import hashlib
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.http import HttpResponse
from django.utils.cache import get_conditional_response, patch_vary_headers
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request

from certportal.api.filtering import refuse_unknown_parameters
from inventory.api.rest import sparse_fields

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "details"],
            "properties": {
                "code": {"type": "string", "description": "For programs; it stays."},
                "message": {"type": "string", "description": "For people; it may change."},
                "details": {
                    "type": "object",
                    "additionalProperties": {},
                    "description": "The parameters or fields at fault, each with what it needs.",
                },
            },
        }
    },
    "example": {
        "error": {
            "code": "invalid",
            "message": "The request was refused and nothing was done: limit. The details say what each needs.",
            "details": {"limit": ["A page holds from 1 to 1000 rows."]},
        }
    },
}
_ERROR_RESPONSE = {
    "description": "Refused. Every error has this shape.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}

_NOT_MODIFIED = {"description": "As the client has it."}


class ApiTokenScheme(OpenApiAuthenticationExtension):
    target_class = "certportal.api.tokens.ApiTokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "Made by each person on the page “API tokens”, or by the command `api_token`.",
        }


def describe_refusals(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Say of every operation that its errors have one shape, and that parameters are not empty.

    A hook of drf-spectacular.
    """
    result["components"]["schemas"]["Error"] = _ERROR
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"]["default"] = _ERROR_RESPONSE
            if any(parameter["name"] == sparse_fields.PARAMETER for parameter in operation.get("parameters", ())):
                operation["responses"]["304"] = _NOT_MODIFIED
                _shown_component(result, operation).pop("required", None)
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query" and parameter["schema"].get("type") == "string":
                    parameter["schema"]["minLength"] = 1
    return result


def _shown_component(result: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """Return the description of the objects that an operation shows: `fields` may leave out any part of them."""
    components: dict[str, Any] = result["components"]["schemas"]
    shown = operation["responses"]["200"]["content"]["application/json"]["schema"]
    component: dict[str, Any] = _component(components, shown)
    if "results" in component["properties"]:
        component = _component(components, component["properties"]["results"]["items"])
    return component


def _component(components: dict[str, Any], schema: dict[str, Any]) -> Any:
    return components[schema["$ref"].rpartition("/")[2]]


@dataclass(frozen=True)
class Document:
    """The description in one media type, as it is sent."""

    body: bytes
    etag: str
    """Quoted, as in the header (RFC 9110 8.8.3)."""


# To build the description takes seconds, in which a process answers nobody, and nothing in it depends on who asks: a
# process builds it once, and writes it once as JSON and once as YAML. It changes with the release, and so with the
# process.
_documents: dict[str, Document] = {}
_building = threading.Lock()


@lru_cache(maxsize=1)
def _description() -> Any:
    return SchemaGenerator().get_schema(request=None, public=True)


def document(renderer: OpenApiYamlRenderer | OpenApiJsonRenderer) -> Document:
    """Return the description as `renderer` writes it, built by the first caller of this process."""
    with _building:
        written = str(renderer.format)
        if written not in _documents:
            body = renderer.render(_description(), renderer_context={})
            _documents[written] = Document(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
        return _documents[written]


class SchemaView(SpectacularAPIView):
    """The OpenAPI description, in YAML or JSON as the client accepts."""

    # Of what a client likes equally well, the first: the page of the documentation takes both, and reads JSON at once,
    # while YAML costs the server and the browser seconds.
    renderer_classes = [OpenApiYamlRenderer, OpenApiJsonRenderer2, OpenApiYamlRenderer2, OpenApiJsonRenderer]

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer with the description, or 304 to a client that has it already."""
        renderer = request.accepted_renderer
        found = document(renderer)
        response = HttpResponse(found.body, content_type=renderer.media_type, headers={"ETag": found.etag})
        response["Content-Disposition"] = f'inline; filename="certportal-api.{renderer.format}"'
        response["Cache-Control"] = "no-cache"
        patch_vary_headers(response, ["Accept"])
        # A method of REST framework's request answers here as Django's would.
        return get_conditional_response(request._request, etag=found.etag, response=response) or response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        refuse_unknown_parameters(request, ())


class DocumentationView(SpectacularSwaggerSplitView):
    """The description as pages that can be tried out."""

    url_name = "api-schema"
    http_method_names = ["get", "head"]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # The page asks for its own script by `?script=`.
        if "script" not in request.query_params:
            refuse_unknown_parameters(request, ())
