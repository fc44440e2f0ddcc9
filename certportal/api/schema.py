"""What the OpenAPI description says of every view beside its own: trimming, and ETags of single objects."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from certportal.api import trimming


class Schema(AutoSchema):
    def get_override_parameters(self) -> list[Any]:
        given: list[Any] = super().get_override_parameters()
        if trimming.may_trim(self.view):
            text = "Names of fields, separated by commas: the answer holds these only."
            given = [*given, OpenApiParameter(trimming.PARAMETER, OpenApiTypes.STR, description=text)]
        if self.view.action == "retrieve":
            text = "An ETag that was seen before; when it is still true, the answer is 304 and has no body."
            given = [
                *given,
                OpenApiParameter("If-None-Match", OpenApiTypes.STR, OpenApiParameter.HEADER, description=text),
            ]
        return given
