"""The answer to OPTIONS: what an address is called and reads."""

from typing import Any

from rest_framework.metadata import SimpleMetadata
from rest_framework.request import Request


class PlainMetadata(SimpleMetadata):
    """Says nothing of fields: the OpenAPI description does, and would be contradicted some day."""

    def determine_actions(self, request: Request, view: Any) -> dict[str, Any]:
        return {}
