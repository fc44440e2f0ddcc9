"""Bodies that mean what they say: a value of another type, or a field that is not known, is refused and not guessed."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from django.db.models import Model
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from inventory.importing import values
from inventory.importing.values import BadValue

_MICRODEGREE = Decimal("0.000001")
_LONGEST = 32
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
    """Raise ValidationError for what is no field, or none that can be written."""
    known = [name for name, field in serializer.fields.items() if not field.read_only]
    if isinstance(data, Mapping) and (unknown := [name for name in data if name not in known]):
        text = f"Cannot be set here. What can: {', '.join(known)}."
        raise ValidationError({_writable(str(name)): [text] for name in unknown})


def _writable(name: str) -> str:
    """Return a name as an answer can quote it: JSON can say what neither UTF-8 nor PostgreSQL can."""
    return name.encode("utf-8", "replace").decode().replace("\0", "?")


class Text(serializers.CharField):
    """A string; a number is none."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Named(serializers.SlugRelatedField[Any]):
    """Another object, named by its slug or name. JSON can say names that PostgreSQL would not even look for."""

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value(Text().run_validation(data))


class Flag(serializers.BooleanField):
    """true or false; a word or a number is neither."""

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


class DeviceSerial(Text):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=64, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return _kept(values.device_serial, super().to_internal_value(data))


class MqttId(Text):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=128, allow_blank=True, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return _kept(values.mqtt_id, super().to_internal_value(data))


class PhoneNumber(Text):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=32, allow_blank=True, help_text="E.164, for example +60123456789", **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return _kept(values.phone_number, super().to_internal_value(data))


def _kept(rule: Any, text: str) -> str:
    try:
        kept: str = rule(text)
    except BadValue as error:
        raise ValidationError([ErrorDetail(str(error), "invalid")]) from None
    return kept


@extend_schema_field({"oneOf": [{"type": "number"}, {"type": "string", "format": "decimal"}]})
class Degrees(serializers.Field[Any, Any, Any, Any]):
    """Decimal degrees from -`limit` to `limit`, as a number or, as lists show them, in a string. Kept to six places."""

    def __init__(self, limit: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._limit = limit

    def to_internal_value(self, data: Any) -> Decimal:
        try:
            degrees = Decimal(str(data)[:_LONGEST]) if _is_number(data) else Decimal("NaN")
            within = -self._limit <= degrees <= self._limit
        except InvalidOperation:
            within = False
        if not within:
            raise ValidationError([f"Decimal degrees from -{self._limit} to {self._limit}, for example 3.139003."])
        return degrees.quantize(_MICRODEGREE)

    def to_representation(self, value: Any) -> Any:
        return value


def _is_number(data: Any) -> bool:
    return isinstance(data, int | float | str) and not isinstance(data, bool)
