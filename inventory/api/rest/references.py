"""How one object names another in the API, and what addresses are made of."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from inventory.models import Certificate, Device

SLUG = "[-a-zA-Z0-9_]+"
ID = "[0-9]+"


@extend_schema_field(OpenApiTypes.STR)
class HexField(serializers.Field[Any, Any, str, Any]):
    """Bytes, shown in lower-case hexadecimal."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def to_representation(self, value: bytes) -> str:
        return bytes(value).hex()


class SlugOf(serializers.SlugRelatedField[Any]):
    """Another object, named by its slug."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(slug_field="slug", read_only=True, **kwargs)


class NameOf(serializers.SlugRelatedField[Any]):
    """Another object, named by its name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(slug_field="name", read_only=True, **kwargs)


class DeviceReferenceSerializer(serializers.ModelSerializer[Device]):
    """A device as other objects name it."""

    fleet = SlugOf()

    class Meta:
        model = Device
        fields = ["id", "fleet", "serial"]
        read_only_fields = fields


class CertificateReferenceSerializer(serializers.ModelSerializer[Certificate]):
    """A certificate as other objects name it."""

    class Meta:
        model = Certificate
        fields = ["id", "serial", "not_after"]
        read_only_fields = fields
