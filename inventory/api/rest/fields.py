"""Bodies that mean what they say: a value of another type, or a field that is not known, is refused and not guessed."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from django.db.models import CharField, Model
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from inventory.formats import device_fields
from inventory.importing.parsing import values
from inventory.importing.parsing.values import BadValue
from inventory.models import Device, fleets_of

_MICRODEGREE = Decimal("0.000001")
_DECIMAL = re.compile(r"-?[0-9]{1,3}(\.[0-9]{1,15})?")
_LARGEST_ID = (1 << 63) - 1


M = TypeVar("M", bound=Model)


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses what it does not know."""

    def to_internal_value(self, data: Any) -> Any:
        _refuse_unknown(self, data)
        return super().to_internal_value(data)


class StrictModelSerializer(serializers.ModelSerializer[M]):
    """Refuses what it does not know, and saves by the rules of the model: `clean` and constraints."""

    def to_internal_value(self, data: Any) -> Any:
        _refuse_unknown(self, data)
        return super().to_internal_value(data)

    def get_unique_together_validators(self) -> list[Any]:
        return []  # the model says it

    def create(self, validated_data: Any) -> M:
        model: type[M] = self.Meta.model
        return self.update(model(), validated_data)

    def update(self, instance: M, validated_data: Any) -> M:
        """Raises the ValidationError of Django."""
        for name, value in validated_data.items():
            setattr(instance, name, value)
        instance.full_clean()
        instance.save()
        return instance


def _refuse_unknown(serializer: Any, data: Any) -> None:
    """Raise ValidationError for unknown and read-only fields."""
    known = [name for name, field in serializer.fields.items() if not field.read_only]
    if isinstance(data, Mapping) and (unknown := [name for name in data if name not in known]):
        text = f"Cannot be set here. What can: {', '.join(known)}."
        raise ValidationError({_writable(str(name)): [text] for name in unknown})


def _writable(name: str) -> str:
    """Return a name as an answer can quote it: JSON can say what neither UTF-8 nor PostgreSQL can."""
    return name.encode("utf-8", "replace").decode().replace("\0", "?")


class Text(serializers.CharField):
    """A string; numbers are rejected."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Named(serializers.SlugRelatedField[Any]):
    """Another object, by its slug or name. Names that PostgreSQL cannot hold are rejected before it is asked."""

    def get_queryset(self) -> Any:
        """Return what the caller sees of it. Whoever makes the serializer hands over the request."""
        rows: Any = super().get_queryset()
        return rows.of_fleets(fleets_of(self.context["request"].user))

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value(Text().run_validation(data))


class Flag(serializers.BooleanField):
    """true or false; strings and numbers are rejected."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Whole(serializers.IntegerField):
    """A whole number; its digits in a string are none."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return data


class RowId(Whole):
    """The id of a row."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=_LARGEST_ID, **kwargs)


class _Word(Text):
    """A text that is kept as it is or refused: `rule` raises BadValue, or would make something else of it."""

    rule: Callable[[str], str]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            kept = type(self).rule(text)
        except BadValue as error:
            raise ValidationError([str(error)]) from None
        if kept != text:
            raise ValidationError([f"Write it as it is kept: {kept}"])
        return text


def _longest(column: str) -> int | None:
    field = Device._meta.get_field(column)
    assert isinstance(field, CharField)
    return field.max_length


# For who reads the description: the rules of the model, which values of imports and of the API have to meet.
@extend_schema_field({"type": "string", "pattern": device_fields.PLAIN_SERIAL, "maxLength": _longest("serial")})
class DeviceSerial(_Word):
    rule = staticmethod(values.device_serial)


@extend_schema_field({"type": "string", "pattern": device_fields.PLAIN_MQTT_ID, "maxLength": _longest("mqtt_id")})
class MqttId(_Word):
    rule = staticmethod(values.mqtt_id)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_blank=True, **kwargs)


@extend_schema_field(
    {
        "type": "string",
        "anyOf": [
            {"maxLength": 0},
            {"pattern": device_fields.PLAIN_PHONE_NUMBER, "minLength": device_fields.SHORTEST_PHONE_NUMBER},
        ],
        "maxLength": _longest("phone_number"),
    }
)
class PhoneNumber(_Word):
    rule = staticmethod(values.phone_number)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_blank=True, help_text="E.164, for example +60123456789", **kwargs)


class Degrees(serializers.Field[Any, Any, Any, Any]):
    """Decimal degrees from -`limit` to `limit`, as a number or, as lists show them, in a string. Kept to six places."""

    def __init__(self, limit: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._limit = limit

    def to_internal_value(self, data: Any) -> Decimal:
        written = _DECIMAL.fullmatch(data) if isinstance(data, str) else type(data) in {int, float}
        degrees = Decimal(str(data)) if written else Decimal("NaN")
        if degrees.is_nan() or not -self._limit <= degrees <= self._limit:
            raise ValidationError([f"Decimal degrees from -{self._limit} to {self._limit}, for example 3.139003."])
        # PostgreSQL knows no negative zero.
        return degrees.quantize(_MICRODEGREE) + 0

    def to_representation(self, value: Any) -> Any:
        return value


class DegreesExtension(OpenApiSerializerFieldExtension):
    target_class = Degrees

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        limit = self.target._limit
        number = {"type": "number", "minimum": -limit, "maximum": limit}
        return {"oneOf": [number, {"type": "string", "pattern": f"^{_DECIMAL.pattern}$"}]}
