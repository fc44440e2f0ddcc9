"""What is said of each operation in the OpenAPI description, beside its filters and pages."""

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from inventory.api.rest import sparse_fields


class Schema(AutoSchema):
    """Describes what all resources have in common beside filters and pages: `fields` and ETags."""

    def get_override_parameters(self) -> list[OpenApiParameter]:
        own: list[OpenApiParameter] = super().get_override_parameters()
        if sparse_fields.PARAMETER not in getattr(self.view, "own_parameters", ()):
            return own
        names = list(self.view.get_serializer_class()().fields)
        return [
            *own,
            OpenApiParameter(
                sparse_fields.PARAMETER,
                {"type": "array", "minItems": 1, "items": {"type": "string", "enum": names}},
                explode=False,
                style="form",
                description="Only these fields, separated by commas; all without it.",
            ),
            OpenApiParameter(
                "If-None-Match",
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                description="ETags that the client has; when one still holds, the answer is 304 and has no content.",
            ),
            OpenApiParameter(
                "ETag",
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                response=[200],
                description="Changes whenever anything in the answer does.",
            ),
        ]
